"""The listening process against publishers that send anything: what is sound counts, and it lives on."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import zmq

from loadtests.ports import ports
from router.kv_events.listener import Listener
from router.kv_events.process import TURN_S, SourceSockets, in_turn
from router.kv_events.wire import LENGTH, MAX_TALK_CHAINS, EventSource, News, Orders, packed, read_news
from tests.router.kv_events.test_listener import ROOTS, SECRET, batch, chain_of, other, stored
from tokenizer_cache.conversations.chain import ID_BYTES

PATIENCE_MS = 20_000
HELD_ASKS = 1000
"""Messages that ZMQ holds for who does not read."""


class Listening:
    """The process, and one publisher with its answers."""

    def __init__(self) -> None:
        self._context = zmq.Context()
        self.events, self.repeats = self._context.socket(zmq.XPUB), self._context.socket(zmq.ROUTER)
        self._ports = ports(2)
        for socket, port in zip((self.events, self.repeats), self._ports, strict=True):
            socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
            socket.bind(f"tcp://127.0.0.1:{port}")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "router.kv_events.process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def follow(self, *others: EventSource) -> None:
        """Follow the publisher, and answer that it has published nothing yet."""
        events, repeats = (f"tcp://127.0.0.1:{port}" for port in self._ports)
        source = EventSource(
            key="w", events=events, repeats=repeats, topic="kv", roots=ROOTS[:1], cell_bytes=64 * ID_BYTES
        )
        assert self._process.stdin is not None
        self._process.stdin.write(packed(Orders(secret=SECRET, sources=[source, *others])))
        self._process.stdin.flush()
        assert self.events.recv() == b"\x01kv"
        self.answer(0)

    def answer(self, first: int, *batches: bytes) -> None:
        """Wait to be asked for batches from this number on."""
        who, empty, number = self.repeats.recv_multipart()
        assert (empty, int.from_bytes(number, "big")) == (b"", first)
        for at, payload in enumerate(batches, first):
            self.repeats.send_multipart((who, b"", b"kv", at.to_bytes(8, "big"), payload))
        self.repeats.send_multipart((who, b"", b"", b"\xff" * 8, b""))

    def publish(self, number: int, payload: bytes) -> None:
        self.events.send_multipart((b"kv", number.to_bytes(8, "big"), payload))

    def news(self) -> News:
        assert self._process.stdout is not None
        (size,) = LENGTH.unpack(self._process.stdout.read(LENGTH.size))
        return read_news(self._process.stdout.read(size))

    def until_held(self, chain: bytes) -> News:
        while chain not in (news := self.news()).held:
            pass
        return news

    def close(self) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._context.destroy(linger=0)
        return self._process.wait(PATIENCE_MS / 1000)


@pytest.fixture
def listening() -> Iterator[Listening]:
    listening = Listening()
    listening.follow()
    yield listening
    assert listening.close() == 0, "it ends with its router"


def test_what_is_published_is_told(listening: Listening) -> None:
    listening.publish(0, batch(stored(0, 2)))
    assert listening.until_held(chain_of(2)).complete


def test_a_gap_is_asked_for(listening: Listening) -> None:
    listening.publish(0, batch(stored(0, 1)))
    listening.publish(2, batch(stored(2, 3)))
    listening.answer(1, batch(stored(1, 2)), batch(stored(2, 3)))
    assert listening.until_held(chain_of(3)).complete


def test_noise_costs_only_itself(listening: Listening) -> None:
    rng = random.Random(1)
    for _ in range(300):  # none of them has a number
        frames = [rng.randbytes(rng.choice((0, 1, 7, 9, 30))) for _ in range(rng.randint(0, 4))]
        listening.events.send_multipart([b"kv", *frames])
    for number in range(50):
        listening.publish(number, rng.randbytes(rng.randint(0, 200)))
    listening.publish(50, batch(stored(0, 2)))
    listening.until_held(chain_of(2))


def test_made_up_prompts_are_told_a_few_at_a_time(listening: Listening) -> None:
    listening.publish(0, batch(*map(other, range(1000))))
    told, at_once = set[bytes](), list[int]()
    while len(told) < 1000:
        held = listening.news().held
        told.update(held)
        at_once.append(len(held))
    assert max(at_once) == MAX_TALK_CHAINS


class SlowToRead:
    """A socket in which every batch takes long."""

    def __init__(self) -> None:
        self.read = 0

    def recv_multipart(self, flags: int) -> list[bytes]:
        self.read += 1
        time.sleep(TURN_S)
        return [b"kv", bytes(8), b""]


def test_large_batches_of_one_worker_leave_the_others_their_turns() -> None:
    socket = SlowToRead()
    assert len(list(in_turn(socket))) == socket.read <= 2


def test_a_worker_that_reads_no_question_costs_only_its_own_events() -> None:
    context, (port,) = zmq.Context(), ports(1)
    address = f"tcp://127.0.0.1:{port}"
    source = EventSource(key="w", events=address, repeats=address, roots=ROOTS[:1], cell_bytes=64 * ID_BYTES)
    sockets = SourceSockets(context, Listener(source, SECRET))
    for number in range(HELD_ASKS + 2):
        sockets.listener.stream.asks = number
        sockets.hear(0.0)
    assert sockets.listener.stream.asks is None
    sockets.close()
    context.term()


def test_workers_that_cannot_be_connected_cost_only_their_own_events() -> None:
    listening = Listening()
    nowhere, number = "tcp://no,where:1", 600
    others = [
        EventSource(key=str(each), events=nowhere, repeats=nowhere, roots=ROOTS[:1], cell_bytes=64 * ID_BYTES)
        for each in range(number)
    ]
    listening.follow(*others)
    listening.publish(0, batch(stored(0, 2)))
    listening.until_held(chain_of(2))
    assert listening.close() == 0
