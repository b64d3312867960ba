"""All clients, found by their key; the keys file is read again when it changes.

The time of a look-up must reveal nothing about a key: every offered key is hashed once, looked up once by its hash and
compared once, whether it is known or not, and however much it resembles a known one. Without the salt a client cannot
steer the hash, so what the look-up's time reveals about hashes reveals nothing about keys.
"""

import asyncio
import hmac
import logging
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from router.clients.client import Client
from router.clients.key_hash import DIGEST_BYTES, SALT_BYTES, key_digest
from router.clients.keys import offered_key
from router.clients.keys_file import ANONYMOUS, DEFAULT_LABEL, ClientSpec, KeysFileError, read_keys_file

LOOK_S = 1.0
"""Seconds between two looks at the file's name, size and time."""
NO_DIGEST = bytes(DIGEST_BYTES)
log = logging.getLogger("warmroute")

Stamp = tuple[int, int, int] | None


class Clients:
    """Finds clients. `plain` are keys from the settings; `path` is the keys file, or None."""

    def __init__(
        self,
        plain: Iterable[str],
        path: Path | None,
        clock: Callable[[], float],
        equal: Callable[[bytes, bytes], bool] = hmac.compare_digest,
    ) -> None:
        """`equal` must take the same time for any two hashes. Raises KeysFileError."""
        self._equal = equal
        self._plain = tuple(key.encode() for key in plain)
        self._path = path
        self._clock = clock
        self._salt = secrets.token_bytes(SALT_BYTES)
        self._stamp: Stamp = None
        self._default = Client(ClientSpec(label=DEFAULT_LABEL, hash=""), self._salt, clock)
        self._by_label: dict[str, Client] = {}
        self._by_digest: dict[bytes, tuple[bytes, Client | None]] = {}
        self._nobody: tuple[bytes, Client | None] = (NO_DIGEST, None)
        self.anyone = Client(ClientSpec(label=ANONYMOUS, hash=""), self._salt, clock)
        """The one client of all requests, where no keys are configured."""
        self.required = bool(self._plain) or path is not None
        self.reloads = 0
        self.broken = False
        """True when the file cannot be used as it is now, and the keys are those of an earlier version."""
        if path is None:
            self._index()
        else:
            self._stamp = _stamp(path)
            self._load(path)

    def find(self, authorization: bytes) -> Client | None:
        """The client whose key this header carries; None if no client has it."""
        if not self.required:
            return self.anyone
        digest = key_digest(self._salt, offered_key(authorization))
        known, client = self._by_digest.get(digest, self._nobody)
        return client if self._equal(known, digest) else None

    @property
    def all(self) -> list[Client]:
        """The clients of the keys file."""
        return list(self._by_label.values())

    async def run(self) -> None:
        """Look at the file for ever, and read it when it has changed."""
        if self._path is None:
            await asyncio.Event().wait()
            return
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look(self._path)

    async def look(self, path: Path) -> None:
        """Read the file again if it has changed. A file that cannot be used changes nothing and is logged."""
        stamp = await asyncio.to_thread(_stamp, path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._load(path)
        except KeysFileError as error:
            self.broken = True
            log.error("the keys file %s is not taken, the earlier keys stay: it %s", path, error)
            return
        self.broken = False
        self.reloads += 1
        log.info("the keys file %s was read again: %d clients", path, len(self._by_label))

    def _load(self, path: Path) -> None:
        found = read_keys_file(path)
        self._salt = found.salt_bytes
        clients = {}
        for spec in found.key:
            client = self._by_label.get(spec.label)
            if client is None:
                client = Client(spec, self._salt, self._clock)
            else:
                client.update(spec, self._salt)
            clients[spec.label] = client
        self._by_label = clients
        self._index()

    def _index(self) -> None:
        plain = [(key_digest(self._salt, key), self._default) for key in self._plain]
        filed = [(digest, client) for client in self._by_label.values() for digest in client.spec.digests]
        self._by_digest = {digest: (digest, client) for digest, client in plain + filed}


def _stamp(path: Path) -> Stamp:
    """A value that changes when the file, or the file behind a symbolic link, is replaced. None when there is no
    file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
