"""One port for several processes.

On Linux each process listens with its own socket (SO_REUSEPORT), and the kernel spreads connections over them by a
hash: with one shared socket, a burst would go to the process that wakes first. Where the kernel does not spread
connections (macOS), all processes inherit one listening socket. The supervisor holds the port with a socket that never
listens, so no other program takes it between two starts.
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
    """Take the port for all processes that will start. Port 0 takes a free one. Raises OSError if it is in use or not
    allowed."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    kept: list[socket.socket] = []
    addresses: list[Address] = []
    for family, _, _, _, found_address in dict.fromkeys(found):
        host_part, port_part, *rest = found_address
        address = (host_part, addresses[0][1][1] if addresses else port_part, *rest)
        _bound(family, address, shared=False).close()  # SO_REUSEPORT alone would share another router's port
        sock = _bound(family, address, shared=True)
        kept.append(sock)
        addresses.append((family, sock.getsockname()))
    return kept, tuple(addresses)


def listeners(addresses: Iterable[Address]) -> list[socket.socket]:
    """This process's sockets on the reserved port. They do not listen yet."""
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
