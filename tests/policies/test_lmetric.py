"""Worked examples of the product."""

import random

from policies.lmetric import LMetric
from tests.policies.candidates import a_request, a_worker


def test_cost_is_prefill_times_batch_with_this_request_in_both() -> None:
    candidates = [
        a_worker("warm", cached_tokens=9_001, in_flight=19),
        a_worker("busy", cached_tokens=5_001, queued_tokens=2_000, in_flight=3),
        a_worker("cold", in_flight=1),
    ]
    policy = LMetric(random.Random(0))
    assert policy.costs(a_request(), candidates) == [1_000 * 20, 7_000 * 4, 10_001 * 2]
    assert policy.select(a_request(), candidates).candidate.worker == "warm"
    assert policy.select(a_request(), candidates[::-1]).reason == "cached"


def test_the_batch_outweighs_the_cache_in_proportion() -> None:
    policy = LMetric(random.Random(0))
    for busy, worker in ((8, "warm"), (12, "cold")):
        candidates = [a_worker("cold", in_flight=0), a_worker("warm", cached_tokens=9_000, in_flight=busy)]
        assert policy.select(a_request(), candidates).candidate.worker == worker


def test_among_idle_workers_the_holder_wins() -> None:
    candidates = [a_worker("a"), a_worker("holder", cached_tokens=64), a_worker("c")]
    assert {LMetric(random.Random(s)).select(a_request(), candidates).candidate.worker for s in range(50)} == {"holder"}


def test_a_fully_cached_prompt_still_counts_the_batch() -> None:
    candidates = [a_worker(w, cached_tokens=10_000, in_flight=n) for w, n in (("a", 7), ("b", 3), ("c", 12))]
    assert LMetric(random.Random(0)).select(a_request(), candidates).candidate.worker == "b"
