"""How much of its KV memory a worker really keeps for prefixes: corrected by what its engine reports.

An engine may keep less than it says: another model shares the GPU, requests wait and pin nothing, clients go past the
router. What was promised and not there lies, in LRU order, between the end of the real memory and the end of the
believed one. So the belief may fall by as many tokens, and does not fall too far. What was there although it was
believed to be evicted raises it in the same way.

What must not be broken: one conversation lowers the belief once, until another one does (its prompts may be of a kind
that is never cached), and so does one client, where clients have keys and others use the worker too. And only what an
earlier prompt had left there says anything: another prompt's prefix may not be computed yet, and an answer's own tokens
are cached without being promised.
"""

from collections import OrderedDict

from router.fleet.cache_loss import CacheReport
from router.prefix.index import HASH_BYTES

STEP = 1 / 16
"""Share of the memory by which one report may move the belief. Danger: more, and one odd prompt takes the prefixes of
many conversations."""
LEAST = 1 / 4
"""Share of the memory that is always believed."""
TOLD_STEP = 1 / 64
"""Share of the memory by which the belief must have moved until the index is told: that is a command to Redis."""
MAX_ENDS = 256
"""Earlier prompts that are remembered for each worker, at about 120 bytes."""
MAX_SEARCHED = 512
"""Blocks of a chain in which the end of an earlier prompt is looked for, at 0.1 us each."""


class PoolBelief:
    """How many tokens of its KV memory one worker is believed to lack for prefixes."""

    __slots__ = ("_capacity", "_ends", "_fell", "_feller", "_told", "lacking_tokens")

    def __init__(self) -> None:
        self.lacking_tokens = 0
        """Tokens of the memory that the engine says it has, and that it is not believed to keep prefixes in."""
        self._capacity = 0
        self._told = 0
        """What the index was last told of `lacking_tokens`."""
        self._ends: OrderedDict[bytes, str] = OrderedDict()
        """The last block's hash of earlier prompts, the latest last, with their clients."""
        self._fell = b""
        """The end of the prompt that lowered the belief last."""
        self._feller = ""
        """Its client."""

    def set_capacity(self, capacity_tokens: int) -> None:
        """The engine says that it has memory for so many tokens. What was learned of another size is forgotten."""
        if capacity_tokens != self._capacity:
            self._capacity = capacity_tokens
            self.lacking_tokens = self._told = 0

    def clear(self) -> None:
        """Forget the prompts: nothing is believed to be cached there any more. How much it keeps stays true."""
        self._ends.clear()

    def reported(self, report: CacheReport) -> bool:
        """Take one finished request in. True when the index should be told."""
        chain, block = report.chain, report.start_tokens
        if not chain or not self._capacity:
            return False
        end = self._end(chain, -(-max(report.predicted_tokens, report.cached_tokens) // block))
        if end:
            self._compare(report, end * block, chain[(end - 1) * HASH_BYTES : end * HASH_BYTES])
        self._remember(chain[-HASH_BYTES:], report.client)
        if abs(self.lacking_tokens - self._told) < self._capacity * TOLD_STEP:
            return False
        self._told = self.lacking_tokens
        return True

    def _compare(self, report: CacheReport, left: int, conversation: bytes) -> None:
        """Move the belief: an earlier prompt of this conversation had left `left` tokens there."""
        most = int(self._capacity * STEP)
        missed = min(left, report.predicted_tokens) - report.cached_tokens
        found = min(left, report.cached_tokens) - report.predicted_tokens
        if missed >= report.start_tokens:
            if conversation != self._fell and not self._repeats(report.client):
                self.lacking_tokens = min(self.lacking_tokens + min(missed, most), int(self._capacity * (1 - LEAST)))
                self._feller = report.client
            self._fell = report.chain[-HASH_BYTES:]
        elif found >= report.start_tokens:
            self.lacking_tokens = max(0, self.lacking_tokens - min(found, most))

    def _repeats(self, client: str) -> bool:
        """Did this client lower the belief last, and would others lose if it did so again?"""
        return bool(client) and client == self._feller and any(other != client for other in self._ends.values())

    def _end(self, chain: bytes, blocks: int) -> int:
        """The end, in blocks, of the longest earlier prompt that this one goes on from, within its first `blocks`
        blocks. 0: there is none."""
        last = min(blocks, len(chain) // HASH_BYTES)
        for end in range(last, max(0, last - MAX_SEARCHED), -1):
            if chain[(end - 1) * HASH_BYTES : end * HASH_BYTES] in self._ends:
                return end
        return 0

    def _remember(self, end: bytes, client: str) -> None:
        self._ends[end] = client
        self._ends.move_to_end(end)
        if len(self._ends) > MAX_ENDS:
            self._ends.popitem(last=False)
