"""A Redis (or Valkey) process for load tests: it can be started, killed, frozen and asked, and ends with its `async
with`."""

import asyncio
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from loadtests.ports import ports
from router.processes.embedded import find_server

START_S = 10.0
HOST = "127.0.0.1"


class RedisProcess:
    """One server on a port that stays the same over restarts. `directives` are redis.conf's: `maxmemory="64mb"`."""

    arguments: ClassVar[Sequence[str]] = ()
    defaults: ClassVar[Mapping[str, str]] = {"save": '""', "appendonly": "no"}

    def __init__(self, **directives: str) -> None:
        self.program = shutil.which("redis-server") or find_server()
        (self.port,) = ports(1)
        self.url = f"redis://{HOST}:{self.port}"
        self.folder = Path(tempfile.mkdtemp(prefix="warmroute-redis-"))
        self.directives = {**self.defaults, **directives}
        self._child: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Returns when it answers."""
        words = {"port": str(self.port), "bind": HOST, "dir": str(self.folder), **self.directives}
        config = self.folder / "redis.conf"
        config.write_text("".join(f"{name.replace('_', '-')} {value}\n" for name, value in words.items()))
        self._spawn([self.program, str(config), *self.arguments])
        for _ in range(int(START_S / 0.02)):
            if await self.ask("PING") == "PONG":
                return
            await asyncio.sleep(0.02)
        raise RuntimeError(f"{self.program} did not start")

    def _spawn(self, command: list[str]) -> None:
        self._child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def ask(self, *words: str) -> str:
        """One command; its answer, of which only the first line if it is a list; "" without an answer."""
        writer = None
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection(HOST, self.port)
                writer.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in _bytes(words)))
                line = (await reader.readline()).decode().strip()
                text = await reader.readexactly(int(line[1:])) if line[:1] == "$" and line != "$-1" else b""
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return ""
        finally:
            if writer is not None:
                writer.close()
        return text.decode().strip() or line.lstrip("+:")

    async def demand(self, *words: str) -> str:
        """A command that must succeed. Raises RuntimeError."""
        answer = await self.ask(*words)
        if not answer or answer.startswith("-"):
            raise RuntimeError(f"{words[0]}: {answer or 'no answer'}")
        return answer

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP freezes it, SIGCONT thaws it."""
        if self._child is not None:
            self._child.send_signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class SentinelProcess(RedisProcess):
    """A sentinel, with its own directives: `**{"sentinel monitor main": "127.0.0.1 6379 2"}`."""

    arguments = ("--sentinel",)
    defaults: ClassVar[Mapping[str, str]] = {}


def _bytes(words: tuple[str, ...]) -> list[bytes]:
    return [word.encode() for word in words]
