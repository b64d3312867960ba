"""The wait for KV memory: the one formula, for policies and for the room in which requests wait."""

from policies.api import Candidate


def memory_wait_s(candidate: Candidate, prompt_tokens: int) -> float:
    """Seconds until running requests have freed what a prompt of this length lacks, or one must be preempted.

    A full pool frees its size once per stay (Little's law). What is held is what takes memory of its own: prompts that
    begin alike share blocks. 0 where the pool's size is unknown."""
    capacity = candidate.kv_capacity_tokens
    if not capacity:
        return 0.0
    missing = candidate.held_tokens * candidate.held_share + prompt_tokens - capacity
    return max(0.0, candidate.stay_s * missing / capacity)
