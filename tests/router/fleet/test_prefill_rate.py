"""Rates come from the engines' own sums, slowly, pooled and within bounds."""

from dataclasses import replace

import pytest

from router.engines import Load
from router.fleet.prefill_rate import MAX_POOLS, PRIOR_TOKENS, PrefillRate, PrefillRates
from tests.router.fleets import a_load

LOAD = a_load()


def later(load: Load, tokens: int, seconds: float) -> Load:
    return replace(
        load,
        prefill_tokens_sum=load.prefill_tokens_sum + tokens,
        prefill_seconds_sum=load.prefill_seconds_sum + seconds,
    )


def test_the_prior_holds_until_there_is_evidence() -> None:
    rate = PrefillRate(8000.0)
    assert rate.tokens_per_s == 8000
    rate.learn(PRIOR_TOKENS, PRIOR_TOKENS / 16000)
    assert rate.tokens_per_s == pytest.approx(10_667, rel=0.01)
    for _ in range(300):
        rate.learn(PRIOR_TOKENS, PRIOR_TOKENS / 16000)
    assert rate.tokens_per_s == pytest.approx(16_000, rel=0.02)


def test_short_prefills_teach_nothing_and_lies_are_bounded() -> None:
    rate = PrefillRate(8000.0)
    rate.learn(100, 10.0)
    assert rate.tokens_per_s == 8000
    for _ in range(500):
        rate.learn(1_000_000, 0.001)
    assert rate.tokens_per_s == 160_000
    for _ in range(2000):
        rate.learn(1024, 10_000.0)
    assert rate.tokens_per_s == 400


def test_workers_of_one_model_learn_together() -> None:
    rates = PrefillRates(8000.0)
    one = two = LOAD
    assert rates.learn("a", None, one) == 8000
    for _ in range(200):
        one, before = later(one, 20_000, 1.0), one
        rates.learn("a", before, one)
    assert rates.learn("a", None, two) == pytest.approx(20_000, rel=0.1)
    assert rates.learn("b", None, two) == 8000


def test_counters_that_ran_backwards_teach_nothing() -> None:
    rates = PrefillRates(8000.0)
    assert rates.learn("a", later(LOAD, 50_000, 5.0), LOAD) == 8000


def test_one_lie_does_not_outweigh_what_is_measured_after_it() -> None:
    rate = PrefillRate(8000.0)
    rate.learn(10**15, 1.0)
    for _ in range(200):
        rate.learn(16_000, 2.0)
    assert rate.tokens_per_s == pytest.approx(8000, rel=0.02)


def test_a_worker_that_calls_itself_ever_something_else_fills_no_memory() -> None:
    rates = PrefillRates(8000.0)
    for number in range(3 * MAX_POOLS):
        rates.learn(f"vllm {number}", None, LOAD)
        assert len(rates._pools) <= MAX_POOLS
