"""Ports on this machine without a listener."""

import socket
from collections.abc import Sequence
from contextlib import ExitStack

HOST = "127.0.0.1"


class NoFreePortError(RuntimeError):
    """All ports from the wanted one on are taken."""


def ports(count: int) -> list[int]:
    """Free ports, drawn by the kernel: another run at the same time gets others."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind((HOST, 0))
        return [int(sock.getsockname()[1]) for sock in sockets]


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
