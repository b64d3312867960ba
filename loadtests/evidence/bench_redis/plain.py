"""The usual layout: a hash per block, whose fields are its holders; a lookup sends one HKEYS for each block, pipelined.

No client costs less than this one: one write, and hiredis alone for the replies.
"""

import socket
from collections.abc import Iterable, Iterator
from typing import Self

import hiredis

from loadtests.evidence.bench_redis.scene import Holding
from router.prefix.index import HASH_BYTES

AT_ONCE = 2000


class PlainIndex:
    """Keys of its own in the same server."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()

    def fill(self, holdings: Iterable[Holding], blocks: int) -> None:
        """Write blocks of the holdings until there are about `blocks`."""
        commands: list[bytes] = []
        for holding in holdings:
            for key in _keys(holding.chain):
                commands.append(hiredis.pack_command(("HSET", key, holding.worker, "1")))  # type: ignore[arg-type]
            blocks -= len(holding.chain) // HASH_BYTES
            if len(commands) >= AT_ONCE:
                self._call(commands)
                commands = []
            if blocks <= 0:
                break
        self._call(commands)

    def match(self, chain: bytes) -> dict[bytes, int]:
        """How many blocks of the chain each holder has."""
        answers = self._call([hiredis.pack_command(("HKEYS", key)) for key in _keys(chain)])  # type: ignore[arg-type]
        found: dict[bytes, int] = {}
        alive = set(answers[0])
        for depth, holders in enumerate(answers):
            gone = alive.difference(holders)
            for holder in gone:
                found[holder] = depth
            alive -= gone
            if not alive:
                return found
        return found | dict.fromkeys(alive, len(answers))

    def _call(self, commands: list[bytes]) -> list[list[bytes]]:
        for start in range(0, len(commands), AT_ONCE):
            self._socket.sendall(b"".join(commands[start : start + AT_ONCE]))
        answers: list[list[bytes]] = []
        while len(answers) < len(commands):
            self._reader.feed(self._socket.recv(1 << 18))
            while (answer := self._reader.gets()) is not False:
                answers.append(answer)
        return answers


def _keys(chain: bytes) -> Iterator[bytes]:
    return (b"{plain}:b:" + chain[at : at + HASH_BYTES] for at in range(0, len(chain), HASH_BYTES))
