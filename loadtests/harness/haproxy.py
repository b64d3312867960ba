"""HAProxy in front of routers, with the configuration of docker/haproxy: only hosts and ports are this machine's."""

import asyncio
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from loadtests.ports import ports

CONFIG = Path(__file__).parents[2] / "docker/haproxy/haproxy.cfg"
HOST = "127.0.0.1"
LOOK_S = 0.1


def installed() -> bool:
    """Is there an HAProxy?"""
    return shutil.which("haproxy") is not None


class Haproxy:
    """Listens from `async with` to its end, on `port`."""

    def __init__(self, routers: Sequence[int]) -> None:
        self.port, self._health_port = ports(2)
        self.up: set[int] = set()
        """Ports of the routers that new connections go to, as HAProxy sees it."""
        self._routers = {f"router-{number + 1}": port for number, port in enumerate(routers)}
        self._folder = tempfile.TemporaryDirectory(prefix="warmroute-haproxy-")
        self._socket = Path(self._folder.name) / "stats"
        self._child: subprocess.Popen[bytes] | None = None

    def _configuration(self) -> str:
        text = CONFIG.read_text(encoding="utf-8")
        text = text.replace("bind :8080", f"bind {HOST}:{self.port}")
        text = text.replace("bind 127.0.0.1:8405", f"bind {HOST}:{self._health_port}")
        text = text.replace("log stdout format raw local0 notice", f"stats socket {self._socket}")
        for name, port in self._routers.items():
            text = re.sub(rf"^(\s*server {name}) \S+", rf"\1 {HOST}:{port}", text, flags=re.MULTILINE)
        return text

    def _start(self) -> None:
        path = Path(self._folder.name) / "haproxy.cfg"
        path.write_text(self._configuration(), encoding="utf-8")
        self._child = subprocess.Popen(["haproxy", "-q", "-db", "-f", str(path)])

    async def __aenter__(self) -> Self:
        self._start()
        self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._looking.cancel()
        await asyncio.wait([self._looking])
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        self._folder.cleanup()

    async def _look(self) -> None:
        while True:
            self.up = {self._routers[name] for name in await self._serving()}
            await asyncio.sleep(LOOK_S)

    async def _serving(self) -> list[str]:
        """Servers that are up, by HAProxy's own statistics: CSV with a header (management guide, `show stat`)."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket)
        except OSError:
            return []
        writer.write(b"show stat\n")
        header, *lines = (await reader.read()).decode().lstrip("# ").strip().split("\n")
        writer.close()
        columns = header.split(",")
        rows = [dict(zip(columns, line.split(","), strict=False)) for line in lines if line]
        return [row["svname"] for row in rows if row["svname"] in self._routers and row["status"].startswith("UP")]
