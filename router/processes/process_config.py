"""What one process must know about itself and its siblings, handed over by the supervisor.

It comes through standard input, together with the settings: settings hold keys, and other users can read arguments and
environment. The pipe stays open: when it ends, the supervisor is gone, and the process must end too.
"""

import asyncio
import os
import pickle
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from router.processes.listeners import Address, inherited, listeners
from router.settings import Settings

_LENGTH = struct.Struct("!I")
CHANNEL_FD = 0
"""Standard input."""


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """One process's number, and what it shares with its siblings."""

    number: int
    """From 0."""
    count: int
    """Number of all processes."""
    folder: Path
    """Folder of sockets and pages, private to the supervisor and its processes (mode 0700)."""
    addresses: tuple[Address, ...]
    """The addresses that all processes listen on."""
    listening_fds: tuple[int, ...] = ()
    """Inherited sockets, one for each address, where the kernel cannot spread connections over one socket per
    process."""

    def sockets(self) -> list[socket.socket]:
        """The sockets that this process listens on."""
        return inherited(self.listening_fds) if self.listening_fds else listeners(self.addresses)

    def socket_path(self, number: int) -> Path:
        """The socket on which that process serves its metrics page."""
        return self.folder / f"{number}.sock"


def page_path(folder: Path, number: int) -> Path:
    """The file with that process's last metrics page."""
    return folder / f"{number}.page"


def ended_path(folder: Path) -> Path:
    """The file with the counts of ended processes."""
    return folder / "ended.page"


def packed(settings: Settings, config: ProcessConfig) -> bytes:
    """The bytes that the supervisor writes to a process's standard input."""
    body = pickle.dumps((settings, config))
    return _LENGTH.pack(len(body)) + body


def unpacked(channel: BinaryIO) -> tuple[Settings, ProcessConfig]:
    """Read those bytes in the process. Raises EOFError when the supervisor ended before it had written all of them."""
    head = channel.read(_LENGTH.size)
    body = channel.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else b""
    if not body:
        raise EOFError
    settings, config = pickle.loads(body)
    return settings, config


def on_orphaned(gone: Callable[[], None]) -> None:
    """Call `gone` once when the supervisor has ended, however it did. Needs a running event loop."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(CHANNEL_FD, 1):
            loop.remove_reader(CHANNEL_FD)
            gone()

    loop.add_reader(CHANNEL_FD, readable)
