"""The proxy passes bytes on whole, late when it is told to, and breaks when it is told to."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from loadtests.harness.proxy import HOST, Proxy


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def echo() -> AsyncIterator[Proxy]:
    """A proxy before a server that sends everything back."""
    async with (
        await asyncio.start_server(_echo, HOST, 0) as server,
        Proxy(server.sockets[0].getsockname()[1]) as proxy,
    ):
        yield proxy


async def test_bytes_come_whole_and_late() -> None:
    async with echo() as proxy:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        sent = bytes(range(256)) * 2000
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        proxy.delay_s = 0.05
        began = time.monotonic()
        for number in range(5):
            writer.write(b"%d" % number)
            await asyncio.sleep(0.005)
        assert await reader.readexactly(5) == b"01234"
        assert 0.1 <= time.monotonic() - began < 1
        writer.close()


async def test_a_reset_ends_all_connections_and_new_ones_work() -> None:
    async with echo() as proxy:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"x")
        await reader.readexactly(1)
        proxy.reset()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"y")
        assert await reader.readexactly(1) == b"y"
        writer.close()
