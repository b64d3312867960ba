"""One port for several processes.

On Linux each process listens with a socket of its own (SO_REUSEPORT), and the kernel spreads connections over them by a
hash: a socket that all share gives bursts to whoever wakes first. Only where a kernel does not spread (macOS), one
listening socket is inherited. The supervisor holds the port with a socket that never listens, so nobody takes it
between two starts.
"""

import socket
import sys
from collections.abc import Iterable
from typing import Any

Address = tuple[int, tuple[Any, ...]]
"""Family and socket address."""
SPREADS = sys.platform == "linux"
"""Does the kernel spread connections over sockets of one port?"""


def reserve(host: str, port: int) -> tuple[list[socket.socket], tuple[Address, ...]]:
    """Take the port for all processes to come. Port 0 takes a free one. Raises OSError: in use, or not allowed."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    kept: list[socket.socket] = []
    addresses: list[Address] = []
    for family, _, _, _, found_address in dict.fromkeys(found):
        host_part, port_part, *rest = found_address
        address = (host_part, addresses[0][1][1] if addresses else port_part, *rest)
        _bound(family, address, shared=False).close()  # with SO_REUSEPORT alone, another router's port would be shared
        sock = _bound(family, address, shared=True)
        kept.append(sock)
        addresses.append((family, sock.getsockname()))
    return kept, tuple(addresses)


def listeners(addresses: Iterable[Address]) -> list[socket.socket]:
    """This process's own sockets on the reserved port, not listening yet: connections come once they do."""
    return [_bound(family, address, shared=True) for family, address in addresses]


def inherited(fds: Iterable[int]) -> list[socket.socket]:
    """The supervisor's listening sockets, in this process."""
    return [socket.socket(fileno=fd) for fd in fds]


def _bound(family: int, address: tuple[Any, ...], shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock
