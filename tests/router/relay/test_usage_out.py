"""One event goes, however it is cut, and every other byte stays."""

import random
import sys
from itertools import pairwise

import pytest

from router.relay.usage_out import MAX_EVENT_BYTES, MAX_TRIED, UsageOut
from tests.attacks.hostile_worker import CASE, Heard, HostileWorker, Script, chunked
from tests.routers import MODEL, chat, running_router

TOKEN = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
USAGE = b'data: {"id":"1","choices":[],"usage":{"prompt_tokens":9,"total_tokens":10,"prompt_tokens_details":null}}\n\n'
DONE = b"data: [DONE]\n\n"
STREAM = b": alive\n\n" + TOKEN * 3 + USAGE + DONE


def through(*chunks: bytes) -> bytes:
    out = UsageOut()
    return b"".join([out.take(chunk) for chunk in chunks]) + out.end()


def test_the_usage_event_is_taken_out_of_a_stream() -> None:
    assert through(TOKEN, USAGE, DONE) == TOKEN + DONE
    assert through(TOKEN, USAGE + DONE) == TOKEN + DONE
    assert through(STREAM) == STREAM.replace(USAGE, b"")


@pytest.mark.parametrize("seed", range(50))
def test_however_it_is_cut(seed: int) -> None:
    rng = random.Random(seed)
    stream = STREAM if seed % 2 else STREAM.replace(b"\n", b"\r\n")
    cuts = sorted({0, len(stream), *(rng.randrange(len(stream)) for _ in range(rng.randint(0, 40)))})
    chunks = [stream[start:end] for start, end in pairwise(cuts)]
    usage = USAGE if seed % 2 else USAGE.replace(b"\n", b"\r\n")
    assert through(*chunks) == stream.replace(usage, b"")


@pytest.mark.parametrize(
    "event",
    [
        TOKEN.replace(b'"a"', b'"\\"usage\\":{} \\"choices\\":[]"'),
        b'data: {"choices":[{"index":0}],"usage":{"prompt_tokens":1}}\n\n',
        b'data: {"choices":[],"usage":null}\n\n',
        b'data: {"choices":[]}\n\n',
        b'data: {"error":{"message":"usage"},"usage":{}}\n\n',
        b'data: {"choices":[],"usage":{\n\n',
        b'event: x\ndata: {"choices":[],"usage":{}}\n\n',
        b'data: {"choices":[],"usage":{"x":"' + b"x" * MAX_EVENT_BYTES + b'"}}\n\n',
        b'data: {"choices":[],"usage":{"prompt',
        bytes(range(256)) + b'"usage"\n\n',
    ],
)
def test_events_that_are_not_usage_stay(event: bytes) -> None:
    assert through(TOKEN, event, DONE) == TOKEN + event + DONE
    assert through(TOKEN + event) == TOKEN + event


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("seen", range(4))
def test_a_long_event_may_be_cut_within_its_end(end: bytes, seen: int) -> None:
    long = b"data: " + b"x" * MAX_EVENT_BYTES
    usage = USAGE.replace(b"\n\n", end)
    assert through(long + end[:seen], end[seen:] + usage, DONE) == long + end + DONE


def test_only_the_first_one_goes() -> None:
    assert through(USAGE, USAGE, b"data: {") == USAGE + b"data: {"


def test_what_does_not_end_does_not_wait_for_ever() -> None:
    out = UsageOut()
    piece = b"data: " + b"x" * MAX_EVENT_BYTES
    assert out.take(piece) == piece


@pytest.mark.parametrize(
    "piece", [b"\n" * 65_536, b'"usage"' + b"\n" * 65_536, b'"usage"\n\n' * 7_000, b'data: {"usage":{}}\n\n' * 3_000]
)
def test_a_piece_of_nothing_but_events_costs_little(piece: bytes) -> None:
    """Counted in calls, which no busy machine changes."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    out = UsageOut()
    sys.setprofile(count)
    try:
        got = out.take(piece)
    finally:
        sys.setprofile(None)
    assert got + out.end() == piece
    assert calls < 20 * MAX_TRIED


@pytest.mark.parametrize("declared", [True, False])
async def test_nothing_is_taken_out_of_an_answer_of_a_declared_length(declared: bool) -> None:
    """It would be shorter than its head says, and be cut; behind a proxy the next answer would fill it up."""
    stream = TOKEN + USAGE + DONE

    def answer(heard: Heard) -> Script:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        if declared:
            return Script((head + b"content-length: %d\r\n\r\n" % len(stream), stream))
        return Script((head + b"transfer-encoding: chunked\r\n\r\n", chunked(TOKEN, USAGE, DONE)))

    async with HostileWorker(MODEL, answer) as worker, running_router(worker.url) as router:
        for _ in range(2):
            body = chat(stream=True)
            got = await router.client.post("/v1/chat/completions", json=body, headers={CASE: "any"})
            assert got.content == (stream if declared else TOKEN + DONE)
        assert all(b"include_usage" in heard.body for heard in worker.heard)
