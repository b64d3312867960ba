"""One event goes, however it is cut, and every other byte stays."""

import random
from itertools import pairwise

import pytest

from router.relay.usage_out import MAX_EVENT_BYTES, UsageOut

TOKEN = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
USAGE = b'data: {"id":"1","choices":[],"usage":{"prompt_tokens":9,"total_tokens":10,"prompt_tokens_details":null}}\n\n'
DONE = b"data: [DONE]\n\n"
STREAM = b": alive\n\n" + TOKEN * 3 + USAGE + DONE


def through(*chunks: bytes) -> bytes:
    out = UsageOut()
    return b"".join([out.take(chunk) for chunk in chunks]) + out.end()


def test_whole_events() -> None:
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
def test_what_is_not_it_stays(event: bytes) -> None:
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
