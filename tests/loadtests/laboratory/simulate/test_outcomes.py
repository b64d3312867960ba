"""What a run comes to."""

import pytest

from loadtests.laboratory.simulate.outcomes import Outcome, summary


def outcome(arrived: float, ttft: float, cached: int = 0, **more: object) -> Outcome:
    made = Outcome(
        arrived, 1000, 10, 800, 0.1, cached_tokens=cached, first_byte=arrived + ttft, ended=arrived + ttft + 2
    )
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_a_summary_counts_what_it_says() -> None:
    outcomes = [outcome(n, 0.1 * (n + 1), 600) for n in range(10)]
    outcomes.append(outcome(3.0, 0.5, error="status_500"))
    made = summary(outcomes, 10.0, [2.0, 4.0], 100.0)
    assert (made.requests, made.errors, made.unfinished) == (11, 1, 0)
    assert (made.ideal_hit, made.hit, made.recomputed) == pytest.approx((0.8, 0.6, 0.2))
    assert (made.ttft_p50, made.ttft_p90) == pytest.approx((0.55, 0.91))
    assert made.e2e_p50 == pytest.approx(2.55)
    assert made.goodput == pytest.approx(10 / 11)
    assert (made.throughput, made.busy, made.spread) == pytest.approx((1.0, 0.3, 1 / 3))
    assert made.ttft_curve[49] == made.ttft_p50


def test_who_still_waits_counts_with_the_wait_so_far_and_not_in_the_hit_rate() -> None:
    waiting = outcome(10.0, float("nan"), ended=float("nan"))
    streaming = outcome(0.0, 0.5, 600, ended=float("nan"))
    made = summary([waiting, streaming], 10.0, [1.0], 90.0)
    assert made.ttft_p99 > 79
    assert (made.unfinished, made.hit, made.goodput) == (2, 0.6, 0.0)


@pytest.mark.parametrize(("least_s", "ttft", "good"), [(0.1, 0.99, True), (0.1, 1.1, False), (4.0, 11.0, True)])
def test_good_is_within_a_second_or_three_times_the_least(least_s: float, ttft: float, good: bool) -> None:
    assert outcome(0.0, ttft, least_s=least_s).good is good
    assert not outcome(0.0, ttft, least_s=least_s, error="reset").good
