"""Each worker's rate: its kind's, at its own pace."""

import random
from dataclasses import replace

import pytest

from router.engines import Load
from router.fleet.prefill_rate import MAX_KINDS, PRIOR_TOKENS, PrefillPace, PrefillRates, PrefillSums
from tests.router.fleets import a_load

LOAD = a_load()
PRIOR, RATE = 8000.0, 18_500.0


def later(load: Load, tokens: int, seconds: float) -> Load:
    return replace(
        load,
        prefill_tokens_sum=load.prefill_tokens_sum + tokens,
        prefill_seconds_sum=load.prefill_seconds_sum + seconds,
    )


def looks(rates: PrefillRates, pace: PrefillPace, rate: float, times: int = 200) -> float:
    """Looks at a worker whose sums grow at this rate. Returns what is believed then."""
    load, found = LOAD, 0.0
    for _ in range(times):
        before, load = load, later(load, 20_000, 20_000 / rate)
        found = rates.scraped("a", pace, before, load)
    return found


def times(rates: PrefillRates, pace: PrefillPace, count: int, slower: float = 1.0, noise: float = 0.0) -> float:
    """First tokens of a worker that takes `slower` times as long as usual. Returns what is believed then."""
    rng, found = random.Random(count), 0.0
    for number in range(count):
        tokens = (500, 2000, 8000, 16_000)[number % 4]
        seconds = slower * (0.04 + tokens / RATE) * rng.lognormvariate(0, noise)
        found = rates.timed("a", pace, tokens, 0, seconds)
    return found


def test_sums_count_as_they_grow() -> None:
    sums = PrefillSums()
    assert sums.rate(PRIOR) == 8000
    sums.learn(PRIOR_TOKENS, PRIOR_TOKENS / 16000)
    assert sums.rate(PRIOR) == pytest.approx(10_667, rel=0.01)
    for _ in range(300):
        sums.learn(PRIOR_TOKENS, PRIOR_TOKENS / 16000)
    assert sums.rate(PRIOR) == pytest.approx(16_000, rel=0.02)


def test_short_intervals_teach_nothing_and_lies_are_bounded() -> None:
    sums = PrefillSums()
    sums.learn(100, 10.0)
    assert sums.rate(PRIOR) == 8000
    for _ in range(500):
        sums.learn(1_000_000, 0.001)
    assert sums.rate(PRIOR) == 160_000
    for _ in range(2000):
        sums.learn(1024, 10_000.0)
    assert sums.rate(PRIOR) == 400


def test_one_lie_does_not_outweigh_what_is_measured_after_it() -> None:
    sums = PrefillSums()
    sums.learn(10**15, 1.0)
    for _ in range(200):
        sums.learn(16_000, 2.0)
    assert sums.rate(PRIOR) == pytest.approx(8000, rel=0.02)


def test_one_lie_about_seconds_does_not_outweigh_what_is_measured_after_it() -> None:
    rates = PrefillRates(PRIOR)
    before = looks(rates, PrefillPace(), RATE)
    assert rates.scraped("a", PrefillPace(), LOAD, later(LOAD, 2_000, 1e15)) == before


def test_the_rate_is_that_of_first_tokens_whatever_the_sums_say() -> None:
    rates, pace = PrefillRates(PRIOR), PrefillPace()
    assert looks(rates, pace, 7400.0) == pytest.approx(7400, rel=0.05), "prefills overlap in the sums"
    times(rates, pace, 200)
    assert looks(rates, pace, 7400.0, times=5) == pytest.approx(RATE, rel=0.15)


def test_a_new_worker_is_expected_to_be_as_fast_as_its_kind() -> None:
    rates, known = PrefillRates(PRIOR), PrefillPace()
    rate = times(rates, known, 200)
    assert rates.scraped("a", PrefillPace(), None, LOAD) == pytest.approx(rate, rel=0.05)
    assert rates.scraped("b", PrefillPace(), None, LOAD) == 8000


def test_a_worker_on_a_slower_gpu_has_a_rate_of_its_own() -> None:
    rates, fast, slow = PrefillRates(PRIOR), PrefillPace(), PrefillPace()
    times(rates, fast, 200)
    for _ in range(60):
        one, other = times(rates, fast, 4), times(rates, slow, 4, slower=2.5)
    assert one / other == pytest.approx(2.5, rel=0.15)


def test_equal_workers_do_not_seem_to_differ() -> None:
    rates = PrefillRates(PRIOR)
    times(rates, PrefillPace(), 100, noise=0.2)
    found = [times(rates, PrefillPace(), count, noise=0.2) for count in range(1, 12)]
    assert max(found) < 1.25 * min(found)


def test_lies_about_time_are_bounded() -> None:
    rates, pace = PrefillRates(PRIOR), PrefillPace()
    for seconds in (1e-9, 600.0, 0.0, -1.0, float("nan"), float("inf")):
        for _ in range(50):
            assert 8000 / 100 < rates.timed("a", pace, 1000, 0, seconds) < 8000 * 100
    assert 1 / 3 <= pace.factor <= 3


def test_counters_that_ran_backwards_teach_nothing() -> None:
    rates, pace = PrefillRates(PRIOR), PrefillPace()
    assert rates.scraped("a", pace, later(LOAD, 50_000, 5.0), LOAD) == 8000
    assert rates.scraped("a", pace, LOAD, replace(later(LOAD, 50_000, 1.0), ranks=(LOAD, LOAD))) == 8000


def test_a_worker_that_calls_itself_ever_something_else_fills_no_memory() -> None:
    rates = PrefillRates(PRIOR)
    for number in range(3 * MAX_KINDS):
        rates.scraped(f"vllm {number}", PrefillPace(), None, LOAD)
        assert len(rates._kinds) <= MAX_KINDS
