"""The second tier: what it keeps, and what an engine makes of it."""

import dataclasses

import pytest

from loadtests.engine.job import Job
from loadtests.engine.profiles import PROFILES
from loadtests.engine.scheduler import Scheduler, tier_of
from loadtests.engine.tier import Tier

PROFILE = dataclasses.replace(PROFILES["demo"], kv_tokens=1600, tier_tokens=16_000, tier_rate=200_000.0)


def job(number: int, tokens: int = 1200) -> Job:
    return Job([number * 1000 + block for block in range(tokens // 16)], tokens, 1)


def run(scheduler: Scheduler, one: Job, now: float) -> Job:
    scheduler.submit(one, now)
    next_at: float | None = now
    while next_at is not None:
        _, next_at = scheduler.step(next_at)
    return one


def ttft(one: Job) -> float:
    assert one.first_token is not None
    return one.first_token - one.arrived


def test_what_the_gpu_has_lost_comes_back_from_the_tier_at_its_price() -> None:
    scheduler = Scheduler(PROFILE)
    cold = run(scheduler, job(1), 0.0)
    run(scheduler, job(2), 10.0)
    again = run(scheduler, job(1), 20.0)
    assert again.cached_tokens == 1184
    assert 0 < again.loaded_tokens <= 1184
    reading_s = PROFILE.tier_start_s + again.loaded_tokens / PROFILE.tier_rate
    assert ttft(again) == pytest.approx(PROFILE.step_s + 16 / PROFILE.prefill_rate + reading_s, rel=1e-6)
    assert ttft(again) < ttft(cold)


def test_without_a_tier_it_is_computed_anew() -> None:
    scheduler = Scheduler(dataclasses.replace(PROFILE, tier_tokens=0))
    for number, now in ((1, 0.0), (2, 10.0)):
        run(scheduler, job(number), now)
    again = run(scheduler, job(1), 20.0)
    assert again.cached_tokens < 1184
    assert again.loaded_tokens == 0


def test_a_shared_tier_serves_an_engine_that_has_never_seen_the_prompt() -> None:
    shared = tier_of(PROFILE)
    run(Scheduler(PROFILE, shared), job(1), 0.0)
    elsewhere = run(Scheduler(PROFILE, shared), job(1), 1.0)
    assert elsewhere.cached_tokens == elsewhere.loaded_tokens == 1184
    assert run(Scheduler(PROFILE), job(1), 2.0).cached_tokens == 0


def test_a_shared_tier_holds_nothing_that_is_not_computed_yet() -> None:
    shared = tier_of(PROFILE)
    assert shared is not None
    scheduler, one = Scheduler(PROFILE, shared), job(1)
    scheduler.submit(one, 0.0)
    _, end = scheduler.step(0.0)
    assert end is not None
    assert len(shared) == 0
    while end is not None:
        _, end = scheduler.step(end)
    assert shared.match(one.chain, 0, 74) == 74


def test_the_pool_and_the_tier_stay_within_their_size() -> None:
    scheduler = Scheduler(PROFILE)
    for number in range(40):
        run(scheduler, job(number % 14, 800 + 16 * number), 10.0 * number)
    assert scheduler.tier is not None
    assert len(scheduler.tier) == PROFILE.tier_tokens // 16
    assert scheduler.pool.free == scheduler.pool.blocks


def test_least_recently_used_goes_first_and_the_tail_before_the_head() -> None:
    tier = Tier(6, 16, 1e6)
    tier.write([1, 2, 3])
    tier.write([11, 12, 13])
    tier.read([1, 2, 3])
    tier.write([21, 22])
    assert (tier.match([1, 2, 3], 0, 3), tier.match([11, 12, 13], 0, 3), tier.match([21, 22], 1, 2)) == (3, 1, 1)
