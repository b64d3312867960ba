"""The server that is measured, and what it says of itself."""

import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import redis

from loadtests.ports import ports


class Spent(NamedTuple):
    """The server's own time for scripts since the last look, in microseconds."""

    calls: int
    mean_us: float
    slow: int
    """Scripts above 0.3 ms."""
    worst_us: int


class Server:
    """A client for looking."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.client = redis.Redis(port=port)
        self.client.config_set("slowlog-log-slower-than", 300)
        self.client.config_set("slowlog-max-len", 100_000)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Begin to count anew."""
        self.client.config_resetstat()
        self.client.slowlog_reset()

    def spent(self) -> Spent:
        """What scripts took since then."""
        stats = self.client.info("commandstats").get("cmdstat_evalsha", {"calls": 0, "usec_per_call": 0.0})
        slow = [entry for entry in self.client.slowlog_get(100_000) if entry["command"].startswith(b"EVALSHA")]
        worst = max((int(entry["duration"]) for entry in slow), default=0)
        return Spent(int(stats["calls"]), float(stats["usec_per_call"]), len(slow), worst)

    def used_bytes(self) -> int:
        """Memory of all data."""
        return int(self.client.info("memory")["used_memory"])


@contextmanager
def started(binary: str) -> Iterator[Server]:
    """A server of our own, without persistence."""
    path = shutil.which(binary)
    if path is None:
        raise SystemExit(f"{binary} is not installed: name a server with --binary")
    (port,) = ports(1)
    with tempfile.TemporaryDirectory() as folder:
        settings = ["--port", str(port), "--save", "", "--dir", folder]
        process = subprocess.Popen([path, *settings], stdout=subprocess.DEVNULL)
        try:
            _wait(port)
            server = Server(port)
            yield server
            server.client.close()
        finally:
            process.kill()
            process.wait()


def _wait(port: int) -> None:
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise SystemExit("the server did not start")


def version(server: Server) -> str:
    """Kind and version."""
    info = server.client.info("server")
    kind = "Valkey" if "valkey_version" in info else "Redis"
    return f"{kind} {re.sub(r'[^0-9.]', '', str(info.get('valkey_version', info['redis_version'])))}"
