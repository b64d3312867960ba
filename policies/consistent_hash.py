"""`consistent_hash`: a session, else a prompt's start, always goes to the same worker, whatever the load.

    cost = mix(hash(worker) xor hash(key)) / 2^64      key: the session, else the prompt's first block
         = requests in flight                          of a request that has neither

Rendezvous hashing: each worker is scored by its id and the key, and the lowest score wins. So every router finds the
same worker without a word to the others. When a worker leaves, only its own keys move; when one joins, it takes its
share from all. `mix` is the mixer of splitmix64. Source: D. Thaler, C. Ravishankar, "Using Name-Based Mappings to
Increase Hit Rates", IEEE/ACM ToN 1998.

Dangers: the load moves nothing, so a crowded worker keeps all its keys, and one key that most prompts share (a system
prompt, where clients name no session) sends them all to one worker. Scores must be the same in every process and on
every machine: the builtin `hash` is salted per process and must not be used here.
"""

import random
from collections.abc import Sequence
from hashlib import blake2b
from typing import ClassVar, Literal

from policies.api import Candidate, RequestFacts, Selection
from policies.ties import EXACT, lowest

REMEMBERED_WORKERS = 4096
"""Worker ids whose hash is kept (a memo, begun anew when full). Danger: below the fleet's size it never helps."""

_MASK = (1 << 64) - 1
_UNIT = 1.0 / (1 << 64)


class ConsistentHash:
    """Scores in 0..1 that do not depend on the load."""

    scope: ClassVar[Literal["few", "all"]] = "all"
    reasons: ClassVar[tuple[str, ...]] = ("session", "prefix", "no_key")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._worker_hashes: dict[str, int] = {}

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        """Scores in 0..1, independent of load; requests in flight when the request has neither session nor prefix."""
        key = request.session or request.prefix
        if not key:
            return [c.in_flight for c in candidates]
        key_hash = _hash64(key)
        costs: list[float] = []
        for candidate in candidates:
            mixed = self._worker_hashes.get(candidate.worker) or self._remember(candidate.worker)
            mixed ^= key_hash
            mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
            mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
            costs.append(mixed * _UNIT)
        return costs

    def select(self, request: RequestFacts, candidates: Sequence[Candidate]) -> Selection:
        """The key's worker; the least busy one when there is no key."""
        costs = self.costs(request, candidates)
        index = lowest(costs, self._rng, EXACT)
        reason = "session" if request.session else "prefix" if request.prefix else "no_key"
        return Selection(candidates[index], reason, costs[index])

    def _remember(self, worker: str) -> int:
        if len(self._worker_hashes) >= REMEMBERED_WORKERS:
            self._worker_hashes.clear()
        return self._worker_hashes.setdefault(worker, _hash64(worker.encode()))


def _hash64(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")
