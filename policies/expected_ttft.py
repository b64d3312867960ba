"""`expected_ttft`, the default: the worker whose first token is expected soonest.

Everything is priced in seconds, so that no threshold decides between affinity and load: a holder keeps its session
until waiting for it takes longer than computing the prompt elsewhere. The prices are the constants below; none has to
be set for a model or a GPU, and each was found by simulation. What the rule has learned from earlier requests is one
value, `Learned`; with an equal one and equal draws it decides equally. Runs on every request: the loop in `costs` must
call little per candidate that is not short of memory: one look-up, and another where what is shared is not held.
"""

import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from policies.api import Candidate, RequestFacts, Selection
from policies.memory_wait import memory_wait_s
from policies.ties import lowest

RECOMPUTE_WEIGHT = 1.05
"""Price of an uncached token, in tokens: its own prefill, and 5 % for the requests that will queue behind it. So of two
workers with equal expected times the one that recomputes less wins."""

WAITING_TOKENS = 800
"""Prefill tokens assumed for a request that waits in the engine and that no router sent: an agent's median turn brings
600 to 900 new tokens. Danger: the gauge is as old as the last scrape; counting those of our own, which are in
`queued_tokens` already, drove short sessions off their workers."""

IN_FLIGHT_S = 0.02
"""Seconds per request in the batch that is joined, above the smallest batch. A running request lengthens each engine
step by about 1 ms (0.8 is published for Llama-3.3-70B on two H100), so this is mostly what all in the batch lose over
their answers. Danger: at 0.2, short sessions lose their worker."""

COPY_WEIGHT = 9.0
"""Price of one more copy of a prefix that others use too, in computations of it, where the pool is full and what it
holds is used again: copies of everything take as much memory again, for ever (a conversation that moves leaves behind
blocks that no request uses again). Requests alike in flight share the price, so that a burst spreads. Danger: at 0, 150
shared prefixes that just fit into the fleet's memory push each other out (10 requests/s on eight workers: 83 % hits and
a TTFT p90 of 1.7 s instead of 94 % and 0.16 s); at 30, a burst of 48 waits for few copies (TTFT p50 2.6 s instead of
2.2)."""

REUSE_REQUESTS = 400
"""Requests over which the share of prompts that is found cached is averaged."""

BACKLOG_REQUESTS = 50
"""Requests over which the length of the queues is averaged, over all workers."""

OWN_REQUESTS = 200
"""Requests over which each worker's own queue is averaged."""

OWN_TIMES = 4
"""A worker's price follows this many times its own queue where that is less than the fleet's: so only a worker with
nearly no queue, because it has just joined, is cheaper. Danger: without it, sessions stay at crowded workers while new
ones are idle (a fleet that grows from two to eight: mean time to first token 1.3 times as long); with each worker's own
queue alone, any that is idle for a moment draws sessions (over a sweep of 107 cells, 1.10 instead of 1.04 times the
best p90)."""

USUAL_KV_TOKENS = 500_000
"""Pool of a worker that does not tell its size, as far as filling it goes."""

MOST_WORKERS = 10_000
"""Workers of which is remembered how long their queues are, and how far their pools are filled."""

MOST_PREFIXES = 4096
"""Beginnings of prompts of which the shared length is remembered."""

SHARED_GROWTH = 16
"""Tokens per request by which a remembered shared length grows, so that it follows a system prompt that has become
longer. Danger: between two new conversations it runs ahead, and overrates what is shared."""


class Learned:
    """The state of the rule: what earlier decisions of this router have taught it. It is lost when the router ends, and
    no router tells another.

    Nothing here is the load of the moment, which candidates bring from fleet and index: these are means over the last
    decisions, and what was shared and filled by then. `filled` comes near to what the index holds of each worker (1 %
    off on recorded traffic), but it counts this router's prompts alone, and a restart does not empty it.
    """

    __slots__ = ("backlog", "filled", "queues", "reuse", "shared")

    def __init__(self) -> None:
        self.shared: dict[bytes, int] = {}
        """Tokens that requests with an equal beginning share, by the key of that beginning."""
        self.reuse = 1.0
        """Share of a prompt that was found cached, in the mean of the last `REUSE_REQUESTS`."""
        self.backlog = 0.0
        """Requests that wait at a worker, in the mean of the fleet and of the last `BACKLOG_REQUESTS`."""
        self.queues: dict[str, float] = {}
        """Requests that wait at each worker, in the mean of the last `OWN_REQUESTS` for which it was a candidate."""
        self.filled: dict[str, float] = {}
        """Share of each worker's pool that this router has filled so far, at most 1."""

    def from_queues(self, candidates: Sequence[Candidate]) -> None:
        """Those that wait in each engine, and one where something is computed."""
        queues, all_waiting = self.queues, 0
        for c in candidates:
            waiting = c.waiting + (c.queued_tokens > 0)
            all_waiting += waiting
            before = queues.get(c.worker, 0.0)
            queues[c.worker] = before + (waiting - before) / OWN_REQUESTS
        self.backlog += (all_waiting / len(candidates) - self.backlog) / BACKLOG_REQUESTS
        while len(queues) > MOST_WORKERS:
            del queues[next(iter(queues))]

    def from_alike(self, prefix: bytes, tokens: int) -> None:
        """Others in flight begin alike, and `tokens` of this prompt are held somewhere."""
        self.shared[prefix] = min(tokens, self.shared.get(prefix, tokens) + SHARED_GROWTH)
        if len(self.shared) > MOST_PREFIXES:
            del self.shared[next(iter(self.shared))]

    def from_choice(self, chosen: Candidate, prompt_tokens: int) -> None:
        """What this prompt says of reuse, and what it takes of its worker's pool."""
        self.reuse += (chosen.cached_tokens / prompt_tokens - self.reuse) / REUSE_REQUESTS
        share = chosen.uncached_tokens / (chosen.kv_capacity_tokens or USUAL_KV_TOKENS)
        self.filled[chosen.worker] = min(1.0, self.filled.get(chosen.worker, 0.0) + share)
        if len(self.filled) > MOST_WORKERS:
            del self.filled[next(iter(self.filled))]


class ExpectedTtft:
    """cost = (queued + uncached x (1.05 + backlog^2) + copies + 800 strangers waiting) / prefill_rate
    + 0.02 (in_flight - fewest) + memory wait, in seconds. All of it is divided by the warmth of a worker that has just
    come into service.

    What is computed delays all that come before the worker's queue is worked off: the longer it is, the more of them
    come, and the longer that takes (in a queue of random arrivals the price of a little more work grows with the square
    of their number). `backlog` is how many wait at a worker, in the mean of the fleet and of the last requests, or
    four times what is usual at this one, if that is less. So a fleet with time to spare answers each as soon as it can,
    and a busy one goes where least is computed.

    copies = (shared - cached) x (9 x reuse x filled / (1 + alike / 2) - 1.05 x alike / (1 + alike)), where that part of
    the prompt that it shares with others is not held: the price of one more copy, less what later requests save that
    find it there. `filled` is the share of the worker's pool that this router has filled so far, at most 1, `reuse` the
    share of prompts that was found cached lately. So one system prompt spreads over the fleet as fast as traffic needs
    it, and a burst of one new document is prefilled on several workers. The shared part is estimated: it is the least
    that requests with an equal beginning find held while others with that beginning are in flight. A conversation that
    shares its beginning with no other one is alone in flight, and pays in full.

    memory wait = stay x (held x held_share + prompt - capacity) / capacity, where that is positive (`memory_wait_s`).
    """

    scope: ClassVar[Literal["few", "all"]] = "few"
    reasons: ClassVar[tuple[str, ...]] = ("cached", "spilled", "cold", "no_prompt")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.learned = Learned()

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        """Expected seconds to the first token, with the prices above. Unknown capacity: no memory wait."""
        prompt_tokens = request.prompt_tokens
        alike = sum([c.alike for c in candidates])
        learned = self.learned
        shared = min(learned.shared.get(request.prefix, 0), max([c.cached_tokens for c in candidates]))
        spared = RECOMPUTE_WEIGHT * alike / (1 + alike)
        copy = COPY_WEIGHT * learned.reuse / (1 + alike / 2)
        fewest = min([c.in_flight for c in candidates])
        backlog, own, filled = learned.backlog, learned.queues.get, learned.filled.get
        return [
            (
                (
                    c.queued_tokens
                    + (RECOMPUTE_WEIGHT + min(backlog, OWN_TIMES * own(c.worker, 0.0)) ** 2) * c.uncached_tokens
                    + (
                        (copy * filled(c.worker, 0.0) - spared) * (shared - c.cached_tokens)
                        if c.cached_tokens < shared
                        else 0.0
                    )
                    + WAITING_TOKENS * c.strangers
                )
                / c.prefill_rate
                + IN_FLIGHT_S * (c.in_flight - fewest)
                + (memory_wait_s(c, prompt_tokens) if 0 < c.kv_capacity_tokens < c.held_tokens + prompt_tokens else 0.0)
            )
            / c.warmth
            for c in candidates
        ]

    def select(self, request: RequestFacts, candidates: Sequence[Candidate]) -> Selection:
        """The soonest candidate. `spilled` says that a deeper holder would have been slower, `cold` that none holds."""
        costs = self.costs(request, candidates)
        learned = self.learned
        learned.from_queues(candidates)
        index = lowest(costs, self._rng)
        chosen = candidates[index]
        deepest = max([c.cached_tokens for c in candidates])
        if deepest and sum([c.alike for c in candidates]):
            learned.from_alike(request.prefix, deepest)
        if not request.prompt_tokens:
            return Selection(chosen, "no_prompt", costs[index])
        learned.from_choice(chosen, request.prompt_tokens)
        reason = "cold" if not deepest else "cached" if chosen.cached_tokens == deepest else "spilled"
        return Selection(chosen, reason, costs[index])
