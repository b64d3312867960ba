"""The traps do what they say."""

import dataclasses
from collections import Counter

import pytest

from loadtests.engine.profiles import PROFILES
from loadtests.laboratory.simulate.outcomes import Outcome, Summary
from loadtests.laboratory.simulate.run import Run
from loadtests.laboratory.simulate.scenario import Scenario
from loadtests.laboratory.simulate.traps import BURST, TRAPS
from tests.loadtests.laboratory.simulate.scripts import growing

PROFILE = dataclasses.replace(PROFILES["qwen3-32b-2xh100"], max_model_len=60_000)
MADE = {trap.__name__: trap(growing(12), PROFILE, 4, 150) for trap in TRAPS}


def play(name: str, arm: str = "expected_ttft") -> tuple[Scenario, list[Outcome], Summary]:
    run = Run(MADE[name], arm, 1)
    summary = run.play()
    return MADE[name], [outcome for outcome in run.outcomes if outcome.measured], summary


def test_a_shared_system_prompt_is_found_and_not_waited_for() -> None:
    """The default keeps it on one worker, whose prefill is a tenth busy; a rule that goes by batches spreads it."""
    _, _, summary = play("shared_system_prompt")
    assert summary.hit == pytest.approx(summary.ideal_hit, abs=0.01)
    assert summary.ttft_p90 < 0.2, "another worker would take 0.9 s to compute it"
    _, spread, _ = play("shared_system_prompt", "lmetric")
    assert max(Counter(outcome.worker for outcome in spread).values()) < 0.5 * len(spread)


def test_only_the_burst_is_measured_and_it_comes_at_once() -> None:
    _, outcomes, summary = play("burst")
    assert summary.requests == len(outcomes) == BURST
    arrivals = [outcome.arrived for outcome in outcomes]
    assert max(arrivals) - min(arrivals) < 1.0
    assert {outcome.prompt_tokens for outcome in outcomes} == {outcomes[0].prompt_tokens}


def test_a_hot_tenant_sends_half_of_the_requests() -> None:
    _, outcomes, _ = play("hot_tenant")
    tenant = [outcome for outcome in outcomes if outcome.prompt_tokens > 40_000]
    assert 0.3 < len(tenant) / len(outcomes) < 0.7


def test_the_slow_worker_gets_less_from_whoever_looks_at_load() -> None:
    _, aware, _ = play("slow_worker")
    _, blind, _ = play("slow_worker", "round_robin")
    shares = [sum(o.worker == "http://worker-0" for o in run) / len(run) for run in (aware, blind)]
    assert shares[0] < 0.9 * shares[1], "the line helps a rule that is blind, too"


def test_fast_500s_of_one_worker_in_the_middle_third_are_asked_again() -> None:
    scenario, outcomes, summary = play("fast_500s", "round_robin")
    assert summary.errors == 0
    again = [outcome for outcome in outcomes if outcome.attempts > 1]
    third = scenario.measured_s / 3
    assert again
    assert all(third <= outcome.arrived - scenario.warm_s <= 2 * third for outcome in again)


def test_a_lost_worker_comes_back_and_works() -> None:
    scenario = dataclasses.replace(MADE["lost_and_back"], requests=600)  # its breaker is open for a while
    run = Run(scenario, "expected_ttft", 1)
    summary, outcomes = run.play(), run.outcomes
    back_s = scenario.warm_s + scenario.measured_s / 2
    assert summary.errors < 20
    assert [o for o in outcomes if o.worker == "http://worker-0" and o.arrived > back_s and not o.error]


def test_a_fleet_that_grows_is_used() -> None:
    scenario = MADE["fleet_grows"]
    run = Run(scenario, "expected_ttft", 1)
    run.play()
    grown_s = scenario.warm_s + scenario.measured_s / 3
    before = {o.worker for o in run.outcomes if scenario.warm_s < o.first_byte < grown_s and not o.error}
    after = {o.worker for o in run.outcomes if o.arrived > grown_s}
    assert before == {"http://worker-0"}
    assert len(after) > 1
