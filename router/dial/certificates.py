"""TLS: contexts made from files, and kept up to date with them.

A renewed certificate and a new authority are used from the next handshake on; open connections stay as they are. A file
that cannot be read, and a pair that does not match, change nothing: files are tried in a separate context first.
OpenSSL only adds authorities to a context: an authority that left its file is trusted until the router restarts.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

LOOK_S = 10.0
log = logging.getLogger("warmroute")
Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Files of a certificate chain and its private key, both PEM. Both are empty when there are none."""

    certificate: str
    key: str

    def __bool__(self) -> bool:
        return bool(self.certificate)

    def __str__(self) -> str:
        return f"certificate {self.certificate}"

    @property
    def paths(self) -> tuple[str, ...]:
        """What is looked at."""
        return self.certificate, self.key

    def load_into(self, context: ssl.SSLContext) -> None:
        """OSError when it cannot be used."""
        context.load_cert_chain(self.certificate, self.key)


@dataclass(frozen=True, slots=True)
class Authorities:
    """A file of authorities' certificates, PEM. Empty means the system's authorities."""

    path: str

    def __bool__(self) -> bool:
        return bool(self.path)

    def __str__(self) -> str:
        return f"authorities {self.path}"

    @property
    def paths(self) -> tuple[str, ...]:
        """What is looked at."""
        return (self.path,)

    def load_into(self, context: ssl.SSLContext) -> None:
        """OSError when it cannot be used."""
        context.load_verify_locations(self.path)


@dataclass(frozen=True, slots=True)
class WorkerTls:
    """TLS settings for connections to workers."""

    context: ssl.SSLContext
    name: str
    """The name that every worker's certificate must hold; if empty, the URL's host."""

    def server_name(self, host: str) -> str:
        """The name that the certificate must hold."""
        return self.name or host


def worker_tls(ca: str, pair: KeyPair, name: str) -> WorkerTls:
    """Certificates are checked against the system's authorities, or, if `ca` is given, only against those in it.
    OSError when a file cannot be used."""
    context = ssl.create_default_context(cafile=ca or None)
    if pair:
        context.load_cert_chain(pair.certificate, pair.key)
    return WorkerTls(context, name)


def ask_clients(context: ssl.SSLContext, ca: str, required: bool) -> None:
    """Ask clients for certificates that an authority in `ca` has signed. OSError when the file cannot be used."""
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL


class Renewal:
    """Loads changed files into contexts that are in use; it looks every few seconds."""

    def __init__(self) -> None:
        self._watched: list[tuple[ssl.SSLContext, KeyPair | Authorities]] = []
        self._seen: list[Stamp] = []
        self.renewed = 0
        self.failed = 0

    def watch(self, context: ssl.SSLContext | None, files: KeyPair | Authorities) -> None:
        """Watch these files, which are loaded already. Does nothing where there are none."""
        if context is None or not files:
            return
        self._watched.append((context, files))
        self._seen.append(_stamp(files.paths))

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Load the files that have changed. They are small, so no thread is needed."""
        for number, (context, files) in enumerate(self._watched):
            try:
                stamp = _stamp(files.paths)
                if stamp == self._seen[number]:
                    continue
                self._seen[number] = stamp
                files.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
                files.load_into(context)
            except OSError as error:  # SSLError is one too
                self.failed += 1
                log.warning("the new %s is not taken: %s", files, error.strerror or error)
            else:
                self.renewed += 1
                log.info("%s renewed", files)


def _stamp(paths: Sequence[str]) -> Stamp:
    """A value that changes when a file is replaced. OSError when a file is missing."""
    states = [os.stat(path) for path in paths]  # noqa: PTH116 - follows links
    return tuple((state.st_ino, state.st_mtime_ns, state.st_size) for state in states)
