"""TLS: contexts made from files, and kept up to date with them.

A renewed certificate, and an authority that is new, is taken at the next handshake; connections that are open stay as
they are. A pair that does not fit together, or what cannot be read, changes nothing: it is tried in a context of its
own first. OpenSSL only adds authorities to a context: one that left its file is trusted until the router starts anew.
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
    """Files of a certificate chain and its private key, both PEM. Both empty: none."""

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
    """A file of authorities' certificates, PEM. Empty: none of one's own."""

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
    """How workers are spoken to over https."""

    context: ssl.SSLContext
    name: str
    """Checked in every worker's certificate in place of the URL's host; empty: the host."""

    def server_name(self, host: str) -> str:
        """What the certificate must hold."""
        return self.name or host


def worker_tls(ca: str, pair: KeyPair, name: str) -> WorkerTls:
    """Certificates are checked against the system's authorities, or those in `ca` alone. OSError when a file cannot be
    used."""
    context = ssl.create_default_context(cafile=ca or None)
    if pair:
        context.load_cert_chain(pair.certificate, pair.key)
    return WorkerTls(context, name)


def ask_clients(context: ssl.SSLContext, ca: str, required: bool) -> None:
    """Ask clients for certificates that an authority in `ca` has signed. OSError when the file cannot be used."""
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL


class Renewal:
    """Takes what is new into contexts that are in use: every few seconds, if the files have changed."""

    def __init__(self) -> None:
        self._watched: list[tuple[ssl.SSLContext, KeyPair | Authorities]] = []
        self._seen: list[Stamp] = []
        self.renewed = 0
        self.failed = 0

    def watch(self, context: ssl.SSLContext | None, files: KeyPair | Authorities) -> None:
        """From now on; they have been loaded. Nothing to do where there are none."""
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
        """Take what is new. Small files: not worth a thread."""
        for number, (context, files) in enumerate(self._watched):
            try:
                stamp = _stamp(files.paths)
                if stamp == self._seen[number]:
                    continue
                self._seen[number] = stamp
                files.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
                files.load_into(context)
            except OSError as error:  # of which SSLError is one
                self.failed += 1
                log.warning("the new %s is not taken: %s", files, error.strerror or error)
            else:
                self.renewed += 1
                log.info("%s renewed", files)


def _stamp(paths: Sequence[str]) -> Stamp:
    """Changes when a file is replaced. OSError when one is not there."""
    states = [os.stat(path) for path in paths]  # noqa: PTH116 - follows links
    return tuple((state.st_ino, state.st_mtime_ns, state.st_size) for state in states)
