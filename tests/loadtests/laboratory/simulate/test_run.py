"""Whole runs: what must hold of every arm, and what tells arms apart."""

import dataclasses
import math

import pytest

from loadtests.engine.profiles import PROFILES
from loadtests.laboratory.simulate.crowd import Crowd
from loadtests.laboratory.simulate.hosts import Change, Condition
from loadtests.laboratory.simulate.oracle import NAME as ORACLE
from loadtests.laboratory.simulate.outcomes import Summary
from loadtests.laboratory.simulate.run import Run
from loadtests.laboratory.simulate.scenario import Routers, Scenario, fleet
from loadtests.laboratory.simulate.traffic import Mix
from policies import POLICIES
from tests.loadtests.laboratory.simulate.scripts import growing, script

pytestmark = pytest.mark.slow

MIX = Mix(growing(30))
RATE = 30.0


def scenario(ratio: float = 0.5, requests: int = 300, workers: int = 4, rate: float = RATE) -> Scenario:
    profiles = fleet(PROFILES["demo"], workers, MIX, rate, ratio)
    return Scenario("test", MIX, rate, profiles, requests=requests)


def played(arm: str, seed: int = 1, of: Scenario | None = None) -> tuple[Run, Summary]:
    run = Run(of or scenario(), arm, seed)
    return run, run.play()


@pytest.mark.parametrize("arm", [*sorted(POLICIES), ORACLE])
def test_every_request_is_answered_once_and_nothing_is_left_over(arm: str) -> None:
    run, summary = played(arm, of=scenario(requests=150))
    assert (summary.errors, summary.unfinished) == (0, 0)
    assert summary.requests > 50
    assert 0 <= summary.hit <= summary.ideal_hit <= 1
    measured = [o for o in run.outcomes if not math.isnan(o.ended)]
    assert all(o.arrived < o.first_byte <= o.ended for o in measured)
    assert all(o.cached_tokens <= o.ideal_tokens for o in measured)


def test_leases_and_pending_records_come_to_nothing_when_traffic_ends() -> None:
    single = [script(f"r{n}", [60 + n % 9], shared=20) for n in range(300)]
    mix = Mix([dataclasses.replace(one, starts_s=n / 30) for n, one in enumerate(single)])
    profiles = fleet(PROFILES["demo"], 4, MIX, RATE, 2.0)
    finite = Scenario("test", mix, RATE, profiles, Routers(3, 0.02), requests=200)
    run = Run(finite, "expected_ttft", 1)
    run.play()
    run._timeline.run(run._timeline.now + 60.0)
    for router in run._routers:
        workers = router.fleet.workers.values()
        assert [(w.running.in_flight, w.running.queued_tokens, w.running.held_tokens) for w in workers] == [
            (0, 0, 0)
        ] * 4
        assert router.view.pendings == 0
    assert all(host.engine.scheduler.pool.usage == 0 for host in run.hosts)


def test_equal_seeds_give_equal_results_and_arms_meet_equal_traffic() -> None:
    (first, a), (_, b), (other, c) = played("expected_ttft"), played("expected_ttft"), played("round_robin")
    assert a == b
    assert a != c
    assert played("expected_ttft", seed=2)[1] != a
    starts = [[o.prompt_tokens for o in run.outcomes[:10]] for run in (first, other)]
    assert starts[0] == starts[1]


def test_affinity_comes_near_the_infinite_cache_and_round_robin_does_not() -> None:
    _, ours = played("expected_ttft")
    _, blind = played("round_robin")
    assert ours.ideal_hit - ours.hit < 0.02
    assert blind.ideal_hit - blind.hit > 0.1
    assert ours.ttft_p50 < blind.ttft_p50
    assert blind.recomputed == pytest.approx(blind.ideal_hit - blind.hit, abs=0.01)


@pytest.mark.parametrize(("rate", "ratio", "seed"), [(20.0, 1.2, 2), (14.0, 1.5, 1)])
def test_a_fleet_short_of_memory_is_not_believed_to_have_lost_its_cache(rate: float, ratio: float, seed: int) -> None:
    mix = Mix(growing(60, shared=0))
    workers_of = fleet(PROFILES["demo"], 4, mix, rate, ratio)
    crowded = Scenario("test", mix, rate, workers_of, requests=600, session_wait_s=0)
    run = Run(crowded, "expected_ttft", seed)
    forgotten: list[str] = []
    workers = [worker for router in run._routers for worker in router.fleet.workers.values()]
    for router in run._routers:
        router.fleet.on_forget.append(forgotten.append)
    run.play()
    assert forgotten == []
    assert sum(worker.cache_loss.misses_total for worker in workers) > 30, (
        "prefixes were evicted before their next turn"
    )


def test_kv_pressure_costs_hits() -> None:
    assert played("expected_ttft", of=scenario(4.0))[1].hit < played("expected_ttft")[1].hit - 0.02
    assert played(ORACLE, of=scenario(4.0))[1].hit > 0.99 * played(ORACLE)[1].ideal_hit  # it has memory for all


def test_routers_that_share_nothing_find_less() -> None:
    def with_routers(routers: Routers) -> Summary:
        return played("expected_ttft", of=dataclasses.replace(scenario(requests=600), routers=routers))[1]

    one, shared, private = with_routers(Routers()), with_routers(Routers(5)), with_routers(Routers(5, private=True))
    assert abs(one.hit - shared.hit) < 0.01
    assert private.hit < shared.hit - 0.02


def test_a_worker_that_fails_fast_is_left_alone_and_one_that_is_lost_comes_back() -> None:
    failing = dataclasses.replace(
        scenario(requests=800, rate=40.0),
        changes=(
            Change(1.0, 0, Condition.FAILS),
            Change(5.0, 0, Condition.WELL),
            Change(0.5, 1, Condition.AWAY),
            Change(2.5, 1, Condition.WELL),
        ),
    )
    run, summary = played("expected_ttft", of=failing)
    lost_at, back_at = (failing.warm_s + at_s for at_s in (0.5, 2.5))
    failed = [outcome for outcome in run.outcomes if outcome.error]
    assert summary.errors == sum(outcome.measured for outcome in failed)
    assert {(outcome.worker, outcome.error) for outcome in failed} <= {("http://worker-1", "reset")}
    assert all(outcome.first_byte <= lost_at for outcome in failed), "only answers that had begun"
    assert any(outcome.attempts > 1 for outcome in run.outcomes)
    asked = [o.arrived for o in run.outcomes if o.worker == "http://worker-1" and not o.error]
    assert not [at for at in asked if lost_at + 0.1 < at < back_at]
    assert [at for at in asked if at > back_at]


def test_a_prompt_that_fits_no_worker_is_an_error_and_nobodys_fault() -> None:
    small = [dataclasses.replace(PROFILES["demo"], block_tokens=64, kv_tokens=1280)] * 2
    _, summary = played("expected_ttft", of=dataclasses.replace(scenario(requests=50), profiles=small))
    assert summary.errors == summary.requests > 0


def test_a_second_tier_gives_back_what_memory_was_too_small_for() -> None:
    poor = dataclasses.replace(scenario(4.0, requests=150), session_wait_s=0, queue_timeout_s=3600)
    with_tier = [dataclasses.replace(profile, tier_tokens=1 << 21) for profile in poor.profiles]
    own, pool = (dataclasses.replace(poor, profiles=with_tier, shared_tier=shared) for shared in (False, True))
    without, host, shared = (played("round_robin", of=one)[1] for one in (poor, own, pool))
    assert without.loaded == 0
    assert without.hit < host.hit - 0.05 < shared.hit - 0.1
    assert shared.hit == pytest.approx(shared.ideal_hit, abs=0.03)


@pytest.mark.parametrize(("users", "ratio", "says"), [(20, 0.8, 1.0), (20, 0.8, 1 / 0.6), (40, 1.2, 1 / 0.6)])
def test_predictions_become_right_where_engines_have_less_memory_than_they_say(
    users: int, ratio: float, says: float
) -> None:
    crowd = Crowd(growing(40), users=users)
    profiles = fleet(PROFILES["demo"], 2, crowd, 3.0, ratio)
    lying = Scenario("less", crowd, 3.0, profiles, requests=300, says=says)
    run, _ = played("expected_ttft", of=lying)
    later = [outcome for outcome in run.outcomes[500:] if not math.isnan(outcome.ended)]
    prompt = sum(outcome.prompt_tokens for outcome in later)
    error = sum(abs(outcome.predicted_tokens - outcome.cached_tokens) for outcome in later) / prompt
    hit = sum(outcome.cached_tokens for outcome in later) / prompt
    kept = [worker.pool.kept_tokens / worker.pool.capacity_tokens for worker in run._routers[0].fleet.workers.values()]
    print(f"\n{users} users, {len(later)} requests: error {error:.2%}, hit {hit:.1%}, kept {kept}")
    assert len(later) > 1000
    assert error < 0.03
    assert all(share > 1 / says - 0.2 for share in kept)
    if ratio > 1:  # else sessions keep to workers that have room for them, and what is not missed teaches nothing
        assert all(abs(share - 1 / says) < 0.2 for share in kept)
