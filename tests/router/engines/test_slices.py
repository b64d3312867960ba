"""A control connection is read in slices, and other tasks run between two of them. Whole answers: `test_hostile`."""

import asyncio
from typing import Any

import httpx
import pytest

from router.engines.slices import SLICE_BYTES, SlicedBackend, SlicedStream


class Inner:
    """A connection whose bytes are here, and the backend that opens it."""

    def __init__(self, data: bytes, piece: int = 1 << 20) -> None:
        self.data = data
        self.piece = piece
        self.asked: list[tuple[int, float | None]] = []

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's own
        self.asked.append((max_bytes, timeout))
        size = min(max_bytes, self.piece)
        found, self.data = self.data[:size], self.data[size:]
        return found

    async def start_tls(self, *how: Any, **more: Any) -> "Inner":
        return self

    async def connect_tcp(self, *where: Any, **how: Any) -> "Inner":
        return self

    write = aclose = get_extra_info = None


OK = b"HTTP/1.1 200 OK\r\n" + bytes(4 * SLICE_BYTES)


async def test_no_read_is_larger_than_a_slice() -> None:
    inner = Inner(OK)
    stream = await SlicedBackend(inner).connect_tcp("h", 1)
    assert len(await stream.read(1 << 20, timeout=3)) == SLICE_BYTES
    assert len(await stream.read(10)) == 10
    assert inner.asked == [(SLICE_BYTES, 3), (10, None)]


async def test_other_tasks_have_their_turn_between_two_slices() -> None:
    stream, turns = SlicedStream(Inner(OK)), 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    while await stream.read(1 << 20):
        pass
    task.cancel()
    assert turns >= 4


@pytest.mark.parametrize("piece", [1, 5, 100])
@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
async def test_an_announcement_is_refused_however_it_is_cut(version: bytes, piece: int) -> None:
    stream = await SlicedStream(Inner(version + b" 103 Early Hints\r\n", piece)).start_tls()
    with pytest.raises(httpx.RemoteProtocolError):
        for _ in range(20):
            await stream.read(100)


async def test_what_looks_like_one_later_is_none() -> None:
    stream = SlicedStream(Inner(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 100", 1))
    while await stream.read(100):
        pass
