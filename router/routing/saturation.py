"""The wait before a request's prefill begins at a worker, in seconds, from what is known of the worker's load.

It is the greatest of what three views say, not their sum: they see the same queue. Each alone is blind somewhere: the
router's own count knows no other clients, the engine's gauge is as old as the last scrape, memory says nothing of
compute.
"""

from policies.api import Candidate
from policies.expected_ttft import WAITING_TOKENS
from router.fleet.lateness import Punctuality
from router.routing.decide import Decision

FULL_USAGE = 0.9
"""Below this reported share of KV blocks in use memory keeps nobody waiting, whatever the prompts add up to: they share
blocks."""


def saturated(decision: Decision, bound_s: float, now: float) -> bool:
    """Would this request wait longer than the bound wherever it went? Usually one look at the chosen worker. A chosen
    worker that is saturated while another is not is the policy's choice: computing the prompt there takes longer."""
    if wait_s(decision.selection.candidate, decision.worker.punctuality, now) <= bound_s:
        return False
    pairs = zip(decision.candidates, decision.workers, strict=True)
    return all(wait_s(candidate, worker.punctuality, now) > bound_s for candidate, worker in pairs)


def wait_s(candidate: Candidate, punctuality: Punctuality, now: float) -> float:
    """Seconds until the engine would begin this candidate's prompt. 0 for an idle worker. Pure."""
    rate = candidate.prefill_rate
    ahead = candidate.queued_tokens / rate + punctuality.late_s(now)
    engine = WAITING_TOKENS * candidate.waiting / rate
    return max(ahead, engine, _memory_s(candidate, punctuality.stay_s))


def _memory_s(candidate: Candidate, stay_s: float) -> float:
    """Until running requests have freed what is missing: a full pool frees its size once per stay (Little's law)."""
    capacity, usage = candidate.kv_capacity_tokens, candidate.kv_usage
    if not capacity or 0 < usage < FULL_USAGE:
        return 0.0
    held = max(candidate.held_tokens, usage * capacity)
    missing = held + candidate.cached_tokens + candidate.uncached_tokens - capacity
    return max(0.0, stay_s * missing / capacity) if held else 0.0
