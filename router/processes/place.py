"""One process's place among its siblings, handed over by the supervisor.

It comes through standard input, with the settings, since settings hold keys, and arguments and environment can be read
by others. That pipe stays open: when it ends, the supervisor is gone, and a router without one must not live on.
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
class Place:
    """Where this process stands."""

    number: int
    """From 0."""
    count: int
    """Processes in all."""
    folder: Path
    """Private to the supervisor and its processes (mode 0700): sockets and pages."""
    addresses: tuple[Address, ...]
    """What all of them listen on."""
    listening_fds: tuple[int, ...] = ()
    """Inherited sockets, one for each address, where the system cannot spread connections over several of one's own."""

    def sockets(self) -> list[socket.socket]:
        """For this process to listen on."""
        return inherited(self.listening_fds) if self.listening_fds else listeners(self.addresses)

    def socket_path(self, number: int) -> Path:
        """Where that process tells its metrics."""
        return self.folder / f"{number}.sock"


def page_path(folder: Path, number: int) -> Path:
    """Where that process leaves its last told metrics."""
    return folder / f"{number}.page"


def ended_path(folder: Path) -> Path:
    """What processes counted that have ended."""
    return folder / "ended.page"


def packed(settings: Settings, place: Place) -> bytes:
    """What the supervisor writes to a process's standard input."""
    body = pickle.dumps((settings, place))
    return _LENGTH.pack(len(body)) + body


def unpacked(channel: BinaryIO) -> tuple[Settings, Place]:
    """The same in that process. Raises EOFError when the supervisor ended before it had written all."""
    head = channel.read(_LENGTH.size)
    body = channel.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else b""
    if not body:
        raise EOFError
    settings, place = pickle.loads(body)
    return settings, place


def on_orphaned(gone: Callable[[], None]) -> None:
    """Call `gone` once when the supervisor has ended, however it did. For a process with a running loop."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(CHANNEL_FD, 1):
            loop.remove_reader(CHANNEL_FD)
            gone()

    loop.add_reader(CHANNEL_FD, readable)
