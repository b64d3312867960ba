"""Least squares through the times of prefills: right where they follow the rule, unmoved by odd ones, within bounds."""

import random

import pytest

from router.fleet.prefill_fit import BOUNDS, FIT_EVERY, SURE, PrefillFit, pairs_of

RATE, FIXED_S, PAIR_S = 18_500.0, 0.05, 1.6e-9


def true_s(tokens: int, cached: int, pair_s: float) -> float:
    return FIXED_S + tokens / RATE + pair_s * pairs_of(tokens, cached)


def agents(rng: random.Random) -> tuple[int, int]:
    """Mostly short turns behind long beginnings."""
    if rng.random() < 0.8:
        return rng.choice([300, 1000, 2500]), rng.choice([5000, 30_000, 100_000])
    return rng.choice([3000, 20_000, 80_000]), rng.choice([0, 10_000])


def learned(fit: PrefillFit, times: int, rng: random.Random, noise: float = 0.0, pair_s: float = 0.0) -> PrefillFit:
    for _ in range(times):
        tokens, cached = agents(rng)
        fit.took(tokens, cached, true_s(tokens, cached, pair_s) * rng.lognormvariate(0, noise))
    return fit


@pytest.mark.parametrize("prior", [2000.0, 7400.0, 60_000.0])
@pytest.mark.parametrize("pair_s", [0.0, PAIR_S])
def test_it_agrees_with_the_times_whatever_was_expected(prior: float, pair_s: float) -> None:
    fit = learned(PrefillFit(prior), 300, random.Random(1), 0.1, pair_s)
    fixed, token, pair = fit.terms
    assert 1 / token == pytest.approx(RATE, rel=0.15)
    assert fixed == pytest.approx(FIXED_S, abs=0.03)
    assert pair == pytest.approx(pair_s, abs=0.3e-9)


def test_some_dozen_prompts_are_enough_to_foretell_others() -> None:
    fit = learned(PrefillFit(7400.0), 30, random.Random(2), 0.1, PAIR_S)
    for tokens, cached in ((500, 50_000), (2000, 20_000), (30_000, 0)):
        assert fit.expected_s(tokens, cached) == pytest.approx(true_s(tokens, cached, PAIR_S), rel=0.35)


def test_prompts_of_one_length_tell_no_parts_but_how_long_they_take() -> None:
    fit = PrefillFit(8000.0)
    for _ in range(400):
        fit.took(4000, 0, 0.25)
    assert fit.expected_s(4000, 0) == pytest.approx(0.25, rel=0.1)


def test_odd_times_move_it_little() -> None:
    fit = learned(PrefillFit(8000.0), 100, random.Random(3))
    before = fit.rate
    for tokens, seconds in ((1000, 500.0), (20_000, 0.0001)):
        fit.took(tokens, 0, seconds)
    assert fit.rate == pytest.approx(before, rel=0.2)
    assert fit.expected_s(5000, 0) == pytest.approx(true_s(5000, 0, 0), rel=0.25)


def test_workers_that_become_four_times_slower_are_believed() -> None:
    fit, rng = learned(PrefillFit(8000.0), 100, random.Random(5)), random.Random(6)
    for _ in range(400):
        tokens, cached = agents(rng)
        fit.took(tokens, cached, 4 * true_s(tokens, cached, 0))
    assert fit.expected_s(10_000, 0) == pytest.approx(4 * true_s(10_000, 0, 0), rel=0.15)


def test_the_rate_is_that_of_the_prompts_of_late_attention_included() -> None:
    fit = learned(PrefillFit(8000.0), 300, random.Random(7), 0.0, PAIR_S)
    rng = random.Random(7)
    asked = [agents(rng) for _ in range(300)]
    tokens = sum(tokens for tokens, _ in asked)
    seconds = sum(true_s(*each, PAIR_S) - FIXED_S for each in asked)
    assert fit.rate == pytest.approx(tokens / seconds, rel=0.2)
    assert fit.rate < RATE / 1.5


@pytest.mark.parametrize(
    ("tokens", "cached", "seconds"),
    [
        *((0, 0, 1.0), (-5, 0, 1.0), (1 << 40, 0, 1.0), (1000, -1, 1.0), (1000, 1 << 40, 1.0)),
        *((1000, 0, 0.0), (1000, 0, -1.0), (1000, 0, float("nan")), (1000, 0, float("inf"))),
    ],
)
def test_what_is_no_time_of_a_prefill_teaches_nothing(tokens: int, cached: int, seconds: float) -> None:
    fit = PrefillFit(8000.0)
    fit.took(tokens, cached, seconds)
    assert (fit.rate, fit.terms) == (8000, (0, 1 / 8000, 0))


@pytest.mark.parametrize("seed", range(20))
def test_it_stays_within_bounds_whatever_it_is_told(seed: int) -> None:
    rng, fit = random.Random(seed), PrefillFit(8000.0)
    low, high = BOUNDS
    for _ in range(300):
        tokens = rng.choice([1, 1 << 21, rng.randrange(1, 10_000)])
        fit.took(tokens, rng.choice([0, 1 << 21, 5000]), rng.choice([1e-9, 600.0, rng.random()]))
        assert 8000 * low <= fit.rate <= 8000 * high
        assert min(fit.terms) >= 0
        assert 0 < fit.expected_s(1, 0) < 1e6


def test_another_expectation_counts_where_little_is_known() -> None:
    fit = PrefillFit(8000.0)
    fit.expect(16_000.0)
    assert fit.rate == pytest.approx(16_000)
    learned(fit, 300, random.Random(7))
    fit.expect(1000.0)
    assert fit.rate > RATE / 2


def test_once_it_is_sure_it_is_fitted_at_each_eighth_time() -> None:
    fit = PrefillFit(8000.0)
    for _ in range(SURE):
        fit.took(4000, 0, 0.5)
    seen = []
    for _ in range(FIT_EVERY):
        fit.took(4000, 0, 0.9)
        seen.append(fit.rate)
    assert len(set(seen[:-1])) == 1
    assert seen[-1] < seen[0]
