"""A pool of KV memory that engines in several processes share: a Redis server knows its blocks; reading costs transfer
time.

It works like a Mooncake or LMCache store: all engines can read the blocks that one engine has computed. Redis keeps
only which blocks exist, in one sorted set by the time of their last use. A step asks it synchronously, as with those
stores.
"""

from collections.abc import Sequence
from typing import Any

import redis

from loadtests.engine.profiles import Profile

KEY = "warmroute-lab:tier"
CLOCK = f"{KEY}:clock"
_ASKED_AT_ONCE = 512


class SharedTier:
    """`blocks` blocks, least recently used out first, over all engines that are given the same `url`. Raises what
    redis-py raises when the server does not answer."""

    def __init__(self, url: str, blocks: int, block_tokens: int, tokens_per_s: float, start_s: float = 0.0) -> None:
        self._redis = redis.Redis.from_url(url)
        self._blocks = blocks
        self._block_tokens = block_tokens
        self._tokens_per_s = tokens_per_s
        self._start_s = start_s

    def __len__(self) -> int:
        """Blocks kept."""
        return int(self._redis.zcard(KEY))

    def match(self, chain: Sequence[int], start: int, limit: int) -> int:
        """Blocks of `chain` that are kept without a gap from `start` on, up to `limit`. Touches nothing."""
        index = start
        while index < limit:
            asked = chain[index : min(limit, index + _ASKED_AT_ONCE)]
            names: list[Any] = [_name(block_hash) for block_hash in asked]  # redis-py's own type is too narrow
            for used in self._redis.zmscore(KEY, names):
                if used is None:
                    return index - start
                index += 1
        return index - start

    def read(self, hashes: Sequence[int]) -> float:
        """Touch these blocks. Returns the seconds that reading them takes. A block that another engine has just evicted
        counts as read before."""
        self._use(hashes, only_kept=True)
        return self._start_s + len(hashes) * self._block_tokens / self._tokens_per_s

    def write(self, hashes: Sequence[int]) -> None:
        """Keep these blocks."""
        if hashes:
            self._use(hashes, only_kept=False)
            self._redis.zremrangebyrank(KEY, 0, -self._blocks - 1)

    def _use(self, hashes: Sequence[int], only_kept: bool) -> None:
        last = int(self._redis.incrby(CLOCK, len(hashes)))  # the tail is to be older than the head
        times = {_name(block_hash): last - place for place, block_hash in enumerate(hashes)}
        self._redis.zadd(KEY, times, xx=only_kept)


def shared_tier(profile: Profile, url: str) -> SharedTier | None:
    """The pool behind `url`, of the profile's size and speed; None without a URL. Raises ValueError for one of no
    size."""
    if not url:
        return None
    blocks = profile.tier_tokens // profile.block_tokens
    if not blocks:
        raise ValueError("a shared tier needs a size: --tier-tokens")
    return SharedTier(url, blocks, profile.block_tokens, profile.tier_rate, profile.tier_start_s)


def _name(block_hash: int) -> bytes:
    return block_hash.to_bytes(8, "little")
