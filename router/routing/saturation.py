"""The wait before a request's prefill begins at a worker, in seconds, from what is known of the worker's load.

It is the largest of three estimates, not their sum: they see the same queue. Each misses something: the router's own
count does not know other clients, the engine's gauge is as old as the last scrape, and memory says nothing about
compute.
"""

import math
from collections.abc import Callable, Collection

from policies.api import Candidate
from policies.expected_ttft import WAITING_TOKENS
from policies.memory_wait import memory_wait_s
from router.fleet.lateness import Lateness
from router.fleet.worker import Worker
from router.routing.decide import Decision, candidate_of

FRESH_S, FRESH_WORKER_S = 0.009, 20e-6
"""Seconds for which the free workers of a model count as found, and at least as many for each of its workers: finding
them takes about 1 us for each, so a twentieth of the time at most. Danger: with more than the time between two looks of
the line, a worker that comes free is not seen at the next one."""
MOST_GROUPS = 1024
"""Models whose free workers are remembered."""


def saturated(decision: Decision, bound_s: float, now: float) -> bool:
    """Would this request wait longer than the bound wherever it went? Usually one look at the chosen worker. A chosen
    worker that is saturated while another is not is the policy's choice: computing the prompt there takes longer."""
    if wait_s(decision.selection.candidate, decision.worker.running.lateness, now) <= bound_s:
        return False
    pairs = zip(decision.candidates, decision.workers, strict=True)
    return all(wait_s(candidate, worker.running.lateness, now) > bound_s for candidate, worker in pairs)


def wait_s(candidate: Candidate, lateness: Lateness, now: float) -> float:
    """Seconds until the engine would begin this candidate's prompt. Pure. For a prompt that can never fit no memory is
    waited for: nothing that runs there would free enough, the engine refuses it at once, and others wait behind it."""
    rate = candidate.prefill_rate
    ahead = candidate.queued_tokens / rate + lateness.late_s(now)
    engine = WAITING_TOKENS * candidate.waiting / rate
    prompt_tokens = candidate.cached_tokens + candidate.uncached_tokens
    fits = prompt_tokens <= candidate.kv_capacity_tokens
    return max(ahead, engine, memory_wait_s(candidate, prompt_tokens) if fits else 0.0)


class FreeWorkers:
    """The workers that would begin a prompt within the bound, whatever it is: found once for all that wait."""

    def __init__(self, bound_s: float, clock: Callable[[], float]) -> None:
        """`bound_s`: 0 where no worker is ever saturated."""
        self._bound_s = bound_s
        self._clock = clock
        self._found: dict[str, tuple[float, dict[Worker, None]]] = {}

    def of(self, group: str, workers: Collection[Worker]) -> Collection[Worker]:
        """Those among the group's `workers`, without those that were `taken` since they were found."""
        if not self._bound_s:
            return workers
        now = self._clock()
        found_at, found = self._found.get(group, (-math.inf, {}))
        if now - found_at >= max(FRESH_S, FRESH_WORKER_S * len(workers)):
            if len(self._found) >= MOST_GROUPS:
                self._found.clear()
            found = {worker: None for worker in workers if self._is_free(worker, now)}
            self._found[group] = now, found
        return found

    def taken(self, worker: Worker) -> None:
        """A request goes to this worker, which may be saturated by it."""
        for _, found in self._found.values():
            found.pop(worker, None)

    def _is_free(self, worker: Worker, now: float) -> bool:
        return wait_s(candidate_of(worker, None, None, now), worker.running.lateness, now) <= self._bound_s
