"""Checks that all routers use one index secret. With different secrets they would share nothing, without any error.

The value is a keyed hash of a constant: it proves the secret and does not reveal it.
"""

import hashlib
import logging

from router.shared.failure import Failure
from router.shared.keys import CHECK_TTL_S, Keys
from router.shared.link import Link
from router.shared.script import command

log = logging.getLogger("warmroute")


class SecretCheck:
    """Compares at each new connection. The first router's proof stays until its lifetime ends."""

    def __init__(self, link: Link, keys: Keys, secret: bytes) -> None:
        self._link = link
        self._key = keys.check
        self._proof = hashlib.blake2b(b"warmroute index secret", key=secret[:64], digest_size=16).hexdigest().encode()

    async def run(self) -> bool | None:
        """True when the secrets agree, False when not, None when the server did not say."""
        link = self._link
        written = link.tell(command("SET", self._key, self._proof, "NX", "EX", CHECK_TTL_S))
        seen = link.tell(command("GETEX", self._key, "EX", CHECK_TTL_S))
        await written
        proof = await seen
        link.mend(proof, self._key)
        if isinstance(proof, Failure) or proof is None:
            return None
        agrees = proof == self._proof
        if not agrees and not link.counters.secret_differs:
            log.error("another router uses another index_secret: the routers share no prefixes")
        link.counters.secret_differs = not agrees
        return agrees
