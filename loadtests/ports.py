"""Ports on this machine without a listener.

What is given here lies below the ports that the kernel gives to connections and to listeners that take any: between
two runs of a server nothing else gets its port.
"""

import socket
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import cycle

HOST = "127.0.0.1"
GIVEN = range(10_000, 32_600)
"""Linux gives those from 32,768 on, other systems from 49,152 on."""
BLOCK = 200
"""Ports of one process."""


class NoFreePortError(RuntimeError):
    """All ports from the wanted one on are taken."""


def ports(count: int) -> list[int]:
    """Free ports that no other process is given, nor this one until it has been given all its others."""
    own = _own_ports()
    return [next(port for port in own if is_free(port)) for _ in range(count)]


@cache
def _own_ports() -> Iterator[int]:
    """This process's block, for ever around. The block is taken by the UDP port of its first number, which is kept
    until the process ends."""
    for first in range(GIVEN.start, GIVEN.stop, BLOCK):
        mark = socket.socket(type=socket.SOCK_DGRAM)
        try:
            mark.bind((HOST, first))
        except OSError:
            mark.close()
        else:
            mark.detach()
            return cycle(range(first, first + BLOCK))
    raise NoFreePortError("all ports are taken by other processes")


def free_ports(wanted: Sequence[int]) -> list[int]:
    """For each wanted port the first from it on that has no listener and that no earlier one got."""
    found: list[int] = []
    for first in wanted:
        found.append(next((port for port in range(first, 65536) if port not in found and is_free(port)), 0))
        if not found[-1]:
            raise NoFreePortError(f"no port from {first} on is free")
    return found


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closed server's port is free at once
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
