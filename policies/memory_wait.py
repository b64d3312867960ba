"""The wait for KV memory: the one formula, for policies and for the room in which requests wait.

    wait    = max(0, stay x missing / capacity)                    seconds; 0 where the pool's size is unknown
    missing = held tokens x unique share + prompt tokens - capacity

A full pool frees its size once per stay (Little's law), so a part of it is free after that part of a stay. What is held
is what takes memory of its own: prompts that begin alike share blocks. Source: J. D. C. Little, "A Proof for the
Queuing Formula L = lambda W", Operations Research 1961.

Danger: requests that no router sent take memory that is not counted here, so the true wait is longer.
"""

from policies.api import Candidate


def memory_wait_s(candidate: Candidate, prompt_tokens: int) -> float:
    """Seconds until running requests have freed what a prompt of this length lacks, or one must be preempted."""
    capacity = candidate.kv_capacity_tokens
    if not capacity:
        return 0.0
    missing = candidate.held_tokens * candidate.unique_share + prompt_tokens - capacity
    return max(0.0, candidate.stay_s * missing / capacity)
