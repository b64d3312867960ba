"""Worked examples of the published load model."""

import random

import pytest

from policies.least_loaded import LeastLoaded
from tests.policies.candidates import a_request, a_worker


def policy(seed: int = 0) -> LeastLoaded:
    return LeastLoaded(random.Random(seed))


def test_cost_is_drain_time_plus_the_barrier_of_the_kv_pool() -> None:
    candidates = [
        a_worker("a", queued_tokens=16_000, kv_usage=0.5),
        a_worker("b", queued_tokens=16_000, kv_usage=0.75, prefill_rate=16_000.0),
        a_worker("c", queued_tokens=0, kv_usage=0.0, in_flight=80),
        a_worker("d", queued_tokens=4_000, kv_usage=1.0),
    ]
    assert policy().costs(a_request(), candidates) == pytest.approx([2.15, 1.45, 0.0, 0.5 + 0.15 * 999])
    selection = policy().select(a_request(), candidates)
    assert (selection.candidate.worker, selection.reason) == ("c", "least_work")


def test_without_reported_usage_the_fewest_requests_win() -> None:
    candidates = [a_worker(worker, in_flight=load) for worker, load in (("a", 12), ("b", 7), ("c", 30))]
    for ordered in (candidates, candidates[::-1]):
        selection = policy().select(a_request(), ordered)
        assert (selection.candidate.worker, selection.reason, selection.cost) == ("b", "fewest_requests", 7)


def test_what_is_cached_does_not_count() -> None:
    candidates = [a_worker("a", cached_tokens=9_984, in_flight=8), a_worker("b", in_flight=5)]
    assert policy().select(a_request(), candidates).candidate.worker == "b"


def test_tokens_count_and_not_requests_once_usage_is_known() -> None:
    few_long = a_worker("a", queued_tokens=90_000, in_flight=2, kv_usage=0.3)
    many_short = a_worker("b", queued_tokens=2_000, in_flight=25, kv_usage=0.3)
    assert policy().select(a_request(), [few_long, many_short]).candidate.worker == "b"
