"""A Redis (or Valkey) process for load tests: started, killed, frozen, asked. Gone when its `async with` ends."""

import asyncio
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from loadtests.demo import free_ports
from router.processes.embedded import find_server

START_S = 10.0
FIRST_PORT = 17100
HOST = "127.0.0.1"


class RedisProcess:
    """One server on a port that stays the same over restarts. `directives` are redis.conf's: `maxmemory="64mb"`."""

    def __init__(self, **directives: str) -> None:
        self.program = shutil.which("redis-server") or find_server()
        self.port = free_ports([FIRST_PORT])[0]
        self.url = f"redis://{HOST}:{self.port}"
        self._directives = {"save": "", "appendonly": "no", **directives}
        self._folder = tempfile.mkdtemp(prefix="warmroute-redis-")
        self._child: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Returns when it answers."""
        words = {"port": str(self.port), "bind": HOST, "dir": self._folder, **self._directives}
        flags = [word for name, value in words.items() for word in (f"--{name.replace('_', '-')}", value)]
        self._spawn([self.program, *flags, "--logfile", str(Path(self._folder) / "log")])
        for _ in range(int(START_S / 0.02)):
            if await self.ask("PING") == "+PONG":
                return
            await asyncio.sleep(0.02)
        raise RuntimeError(f"{self.program} did not start")

    def _spawn(self, command: list[str]) -> None:
        self._child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def ask(self, *words: str) -> str:
        """One command; the first line of its answer, or "" when nobody answers."""
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection(HOST, self.port)
                writer.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in _bytes(words)))
                line = await reader.readline()
                writer.close()
        except (OSError, TimeoutError):
            return ""
        return line.decode().strip()

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
        shutil.rmtree(self._folder, ignore_errors=True)


def _bytes(words: tuple[str, ...]) -> list[bytes]:
    return [word.encode() for word in words]
