"""TLS: contexts made from files, and kept up to date with them.

A renewed certificate is taken at the next handshake; connections that are open stay as they are. A pair that does not
fit together, or cannot be read, changes nothing: it is tried in a context of its own first.
"""

import asyncio
import logging
import os
import ssl
from dataclasses import dataclass

LOOK_S = 10.0
log = logging.getLogger("warmroute")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Files of a certificate chain and its private key, both PEM. Both empty: none."""

    certificate: str
    key: str

    def __bool__(self) -> bool:
        return bool(self.certificate)

    def stamp(self) -> tuple[int, ...]:
        """Changes when either file is replaced. OSError when one is not there."""
        states = [os.stat(path) for path in (self.certificate, self.key)]  # noqa: PTH116 - follows links
        return tuple(part for state in states for part in (state.st_ino, state.st_mtime_ns, state.st_size))


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
    """Takes new certificates into contexts that are in use: every few seconds, if the files have changed."""

    def __init__(self) -> None:
        self._watched: list[tuple[ssl.SSLContext, KeyPair]] = []
        self._seen: dict[KeyPair, tuple[int, ...]] = {}
        self.renewed = 0
        self.failed = 0

    def watch(self, context: ssl.SSLContext | None, pair: KeyPair) -> None:
        """From now on; the pair has been loaded. Nothing to do where there is none."""
        if context is None or not pair:
            return
        self._watched.append((context, pair))
        self._seen[pair] = pair.stamp()

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Take what is new. Small files: not worth a thread."""
        for context, pair in self._watched:
            try:
                stamp = pair.stamp()
                if stamp == self._seen[pair]:
                    continue
                self._seen[pair] = stamp
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pair.certificate, pair.key)
                context.load_cert_chain(pair.certificate, pair.key)
            except OSError as error:  # of which SSLError is one
                self.failed += 1
                log.warning("the new certificate %s is not taken: %s", pair.certificate, error.strerror or error)
            else:
                self.renewed += 1
                log.info("certificate %s renewed", pair.certificate)
