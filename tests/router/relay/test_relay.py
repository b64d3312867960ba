"""What comes before the first byte, however it is cut."""

import time

import pytest

from router.relay.relay import PREAMBLE, Preamble

KEEP_ALIVE = b": keep-alive\n\n"
CREATED = b'event: response.created\ndata: {"a":"\\n\\n"}\n\n'
QUEUED = b"event: response.queued\r\ndata: {}\r\n\r\n".replace(b"queued\r", b"queued")
OUTPUT = b"data: {}\n\n"


def goes_on(stream: bytes, size: int) -> list[bool]:
    preamble = Preamble()
    return [preamble.goes_on(stream[at : at + size]) for at in range(0, len(stream), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 1000])
@pytest.mark.parametrize("stream", [KEEP_ALIVE * 3, CREATED + KEEP_ALIVE, KEEP_ALIVE + QUEUED, *PREAMBLE])
def test_a_preamble_in_any_cut(stream: bytes, size: int) -> None:
    assert all(goes_on(stream, size))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 1000])
@pytest.mark.parametrize("before", [b"", KEEP_ALIVE, CREATED, KEEP_ALIVE + QUEUED, b":\r\n\r\n"])
@pytest.mark.parametrize("output", [OUTPUT, b"event: response.output\n", b"\n\n", b"event: x", b"x: :\n\n"])
def test_what_is_computed_ends_it_in_any_cut(before: bytes, output: bytes, size: int) -> None:
    told = goes_on(before + output, size)
    assert not told[-1]
    assert all(told[: len(before) // size])


@pytest.mark.parametrize("piece", [KEEP_ALIVE, b":" * 14])
def test_many_small_pieces_cost_no_more_than_a_few_large_ones(piece: bytes) -> None:
    preamble = Preamble()
    began = time.process_time()
    assert all(preamble.goes_on(piece) for _ in range(75_000))
    assert time.process_time() - began < 2, "each byte is looked at once"
