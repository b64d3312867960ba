"""The embedded server, as a real process. Kept running and used by routers: `test_supervisor`."""

import asyncio
import signal
from pathlib import Path

import pytest
import redis

from router.processes.embedded import BLOCK_BYTES, SPARE_BYTES, EmbeddedServer, find_server


@pytest.fixture
def server(tmp_path: Path) -> EmbeddedServer:
    return EmbeddedServer(find_server(), tmp_path, max_blocks=1000)


async def test_it_listens_on_its_socket_only_with_bounded_memory_and_nothing_on_disk(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    process = await server.start()
    try:
        assert await server.listening()
        assert server.url == f"unix://{tmp_path}/valkey.sock"
        assert server.socket.stat().st_mode & 0o077 == 0
        with redis.Redis(unix_socket_path=str(server.socket)) as client:
            found = client.config_get("*")
            assert isinstance(found, dict)
            assert (found["port"], found["save"], found["appendonly"]) == ("0", "", "no")
            assert int(found["maxmemory"]) == 1000 * BLOCK_BYTES + SPARE_BYTES
            assert found["maxmemory-policy"] == "noeviction"
            client.set("a", "b")
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
    again = await server.start()
    try:
        assert await server.listening()
        with redis.Redis(unix_socket_path=str(server.socket)) as client:
            assert client.get("a") is None, "it begins empty"
    finally:
        again.kill()
        await again.wait()


async def test_one_that_does_not_start_is_not_waited_for_long_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = EmbeddedServer("/bin/false", tmp_path, 1)
    server.socket.write_text("left behind")
    process = await server.start()
    assert await process.wait() != 0
    async with asyncio.timeout(10):
        assert not await server.listening()
    (tmp_path / "valkey.log").write_text("one\ntwo\nthree\nfour\n")
    server.tell_why()
    assert [record.message for record in caplog.records] == [
        f"embedded server: {word}" for word in ("two", "three", "four")
    ]
    server.tell_why()
    assert len(caplog.records) == 3, "its words are told once"
