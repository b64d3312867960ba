"""Memory is waited for by what is missing, and for as long as those stay that have it."""

import pytest

from policies.memory_wait import memory_wait_s
from tests.policies.candidates import a_worker


@pytest.mark.parametrize(
    ("held", "share", "stay_s", "expected_s"),
    [
        (0, 1.0, 5.0, 0.0),
        (290_000, 1.0, 5.0, 0.0),  # fits exactly
        (350_000, 1.0, 5.0, 1.0),  # a fifth of the pool is missing: a fifth of a stay
        (350_000, 1.0, 40.0, 8.0),
        (580_000, 0.5, 5.0, 0.0),  # prompts that share blocks
        (700_000, 0.5, 5.0, 1.0),
    ],
)
def test_what_is_missing_is_freed_once_per_stay(held: int, share: float, stay_s: float, expected_s: float) -> None:
    worker = a_worker("a", held_tokens=held, unique_share=share, stay_s=stay_s)
    assert memory_wait_s(worker, 10_000) == pytest.approx(expected_s)


def test_a_pool_of_unknown_size_keeps_nobody_waiting() -> None:
    assert memory_wait_s(a_worker("a", held_tokens=10**9, kv_capacity_tokens=0), 10_000) == 0
