"""KV events on real sockets, heard as a router would hear them."""

import json
from collections.abc import Iterator

import httpx
import msgspec
import pytest
import zmq

from loadtests.engine.kv_publisher import END, binds
from loadtests.ports import ports
from tests.engines import EngineProcess

PATIENCE_MS = 10_000
IDS = list(range(100, 150))


@pytest.fixture
def heard() -> Iterator["Heard"]:
    events, replays = ports(2)
    with Heard(events, replays) as heard, heard.engine:
        yield heard


class Heard:
    """An engine that publishes, a subscriber, and somebody who asks for what was missed."""

    def __init__(self, events: int, replays: int) -> None:
        config = {
            "enable_kv_cache_events": True,
            "endpoint": f"tcp://*:{events}",
            "replay_endpoint": f"tcp://*:{replays}",
            "topic": "kv@here",
        }
        self.engine = EngineProcess(
            block_tokens=16, kv_tokens=64, max_model_len=64, kv_events_config=json.dumps(config)
        )
        self._ports = events, replays

    def __enter__(self) -> "Heard":
        self._context = zmq.Context()
        self._events, self._replays = self._context.socket(zmq.SUB), self._context.socket(zmq.DEALER)
        self._events.subscribe(b"kv@")
        for socket, port in zip((self._events, self._replays), self._ports, strict=True):
            socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
            socket.connect(f"tcp://127.0.0.1:{port}")
        return self

    def __exit__(self, *exc: object) -> None:
        self._context.destroy(linger=0)

    def ask(self, ids: list[int]) -> None:
        body = {"model": "warm-demo", "prompt": ids, "max_tokens": 1}
        httpx.post(f"{self.engine.url}/v1/completions", json=body).raise_for_status()

    def next(self) -> tuple[int, list[dict[str, object]]]:
        """Sequence and events of the next batch."""
        topic, sequence, payload = self._events.recv_multipart()
        assert topic == b"kv@here"
        _, events, rank = msgspec.msgpack.decode(payload)
        assert rank == 0
        return int.from_bytes(sequence, "big"), events

    def replay(self, start: int) -> list[int]:
        """The sequences of what is told again."""
        self._replays.send_multipart((b"", start.to_bytes(8, "big")))
        found: list[int] = []
        while True:
            empty, topic, sequence, payload = self._replays.recv_multipart()
            assert empty == b""
            if sequence == END:
                assert (topic, payload) == (b"", b"")
                return found
            found.append(int.from_bytes(sequence, "big"))


def test_stores_removals_replay_and_restart(heard: Heard) -> None:
    while True:  # a subscription takes a moment to arrive
        heard.ask(IDS)
        if heard._events.poll(100):
            break
        httpx.post(f"{heard.engine.url}/reset_prefix_cache").raise_for_status()
    first, events = heard.next()
    while events[0]["type"] != "BlockStored":
        first, events = heard.next()
    assert events[0]["token_ids"] == IDS[:48]
    assert len(events[0]["block_hashes"]) == 3  # type: ignore[arg-type]
    heard.ask([*range(1000, 1050)])  # one block of the four was never cached
    number, events = heard.next()
    assert number == first + 1
    assert [event["type"] for event in events] == ["BlockRemoved"] * 3 + ["BlockStored"]
    assert heard.replay(first) == [first, first + 1]
    assert heard.replay(number + 1) == []
    sources = httpx.get(f"{heard.engine.url}/kv_event_sources").json()
    assert sources["0"]["topic"] == "kv@here"
    httpx.post(f"{heard.engine.url}/reset_prefix_cache").raise_for_status()
    assert heard.next()[1] == [{"type": "AllBlocksCleared"}]
    heard.engine.restart()
    heard.ask(IDS)
    number, events = heard.next()
    assert (number, events[0]["type"]) == (0, "BlockStored")


@pytest.mark.parametrize(
    ("endpoint", "listens"),
    [("tcp://*:5557", True), ("tcp://[::]:1", True), ("ipc:///tmp/x", True), ("tcp://0.0.0.0:5557", False)],
)
def test_whether_it_listens_is_guessed_as_vllm_does(endpoint: str, listens: bool) -> None:
    assert binds(endpoint) == listens
