"""One client: what it may do, what it has used, and what it is refused.

Its counters change here alone. They live as long as the label: a changed keys file does not forget what was used.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

from router.clients.bucket import Bucket
from router.clients.key_hash import derived_salt
from router.clients.keys_file import ClientSpec

RETRY_SOON_S = 1
Reason = Literal["requests", "tokens", "concurrency"]


class Refusal(NamedTuple):
    """The limit that is used up, and the seconds after which a new request may pass."""

    reason: Reason
    retry_after_s: int


class Client:
    """The client that has the keys of one label."""

    def __init__(self, spec: ClientSpec, salt: bytes, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.label = spec.label
        self.in_flight = 0
        self.elsewhere = 0
        """Requests in flight through other routers, as last published."""
        self._requests_taken = 0
        self._tokens_taken = 0
        self.requests: Bucket | None = None
        """None means no limit; the same holds for tokens."""
        self.tokens: Bucket | None = None
        self.update(spec, salt)

    def update(self, spec: ClientSpec, salt: bytes) -> None:
        """Take over the changed keys file. `salt` is the file's."""
        self.spec = spec
        self._salt = salt
        self._expires_at = spec.expires_at
        self.requests = self._bucket(self.requests, spec.requests_per_minute)
        self.tokens = self._bucket(self.tokens, spec.uncached_tokens_per_minute)

    @property
    def weight(self) -> float:
        """Its share of a saturated fleet, relative to the other clients' weights."""
        return self.spec.weight

    def expired(self, now: float) -> bool:
        """Has its key expired? `now` is in seconds since 1970."""
        return self._expires_at <= now

    def enter(self) -> Refusal | None:
        """Count a new request, unless a limit is used up. A request that entered must `leave`."""
        limit = self.spec.max_concurrency
        if limit and self.in_flight + self.elsewhere >= limit:
            return Refusal("concurrency", RETRY_SOON_S)
        requests = self.requests
        if requests is not None:
            if requests.level < 1:
                return Refusal("requests", _whole(requests.wait_s(1)))
            requests.take(1)
        self._requests_taken += 1
        self.in_flight += 1
        return None

    def leave(self) -> None:
        """Count the end of a request that entered."""
        self.in_flight -= 1

    def check_tokens(self) -> Refusal | None:
        """May a prompt be sent? Yes, as long as any token is left; what it takes beyond that becomes a debt."""
        tokens = self.tokens
        if tokens is None or tokens.level > 0:
            return None
        return Refusal("tokens", _whole(tokens.wait_s(1)))

    def take_tokens(self, tokens: int) -> None:
        """Take a prompt's uncached tokens; a negative number gives back."""
        self._tokens_taken += tokens
        if self.tokens is not None:
            self.tokens.take(tokens)

    @property
    def limited(self) -> bool:
        """Has it any limit?"""
        return bool(self.requests or self.tokens or self.spec.max_concurrency)

    @property
    def taken(self) -> tuple[int, int, int]:
        """Requests and uncached tokens taken through this router since it started, and requests in flight here."""
        return self._requests_taken, self._tokens_taken, self.in_flight

    def take_elsewhere(self, requests: int, tokens: int) -> None:
        """Take what other routers let through."""
        if self.requests is not None:
            self.requests.take(requests)
        if self.tokens is not None:
            self.tokens.take(tokens)

    def may_use(self, model: str) -> bool:
        """Is `model` one of its models?"""
        models = self.spec.models
        return models is None or model in models

    def cache_salt(self, asked: bytes) -> bytes:
        """The cache salt that its prompts must carry, where the client has one; `asked` is the request's own salt. Both
        are JSON; b"" means none."""
        asked = b"" if asked == b"null" else asked
        return b'"%s"' % derived_salt(self._salt, self.spec.cache_salt, asked).encode()

    def _bucket(self, bucket: Bucket | None, per_minute: int | None) -> Bucket | None:
        if per_minute is None:
            return None
        if bucket is None:
            return Bucket(per_minute, self._clock)
        bucket.change(per_minute)
        return bucket


class Charge:
    """What one request takes of its client's uncached tokens: first as predicted, then as the engine reports."""

    __slots__ = ("client", "tokens")

    def __init__(self, client: Client) -> None:
        self.client = client
        self.tokens = 0

    def set(self, tokens: int) -> None:
        """Change the charge to `tokens`. 0 gives everything back."""
        self.client.take_tokens(tokens - self.tokens)
        self.tokens = tokens


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))
