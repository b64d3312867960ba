"""API keys, compared in constant time.

A key is `Authorization: Bearer KEY`, or `x-api-key: KEY` as Anthropic's SDK sends it.
"""

import hmac
from collections.abc import Iterable


class KeySet:
    """A set of accepted keys. An empty set is false, and accepts none: its owner decides what that means."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = tuple(key.encode() for key in keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def accepts(self, authorization: bytes) -> bool:
        """Is this header value one of the keys? The time does not depend on which key it is, or on how far it
        agrees."""
        offered = offered_key(authorization)
        found = False
        for key in self._keys:
            found |= hmac.compare_digest(key, offered)
        return found


def offered_key(authorization: bytes) -> bytes:
    """The key that a header value carries."""
    scheme, _, rest = authorization.partition(b" ")
    return rest.strip() if scheme.lower() == b"bearer" else authorization
