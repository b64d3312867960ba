"""What a run of a claim's arm comes to."""

import dataclasses
from functools import partial

import pytest

from loadtests.engine.profiles import PROFILES
from loadtests.laboratory.claims.claim import Arm, change, figures, same_worker
from loadtests.laboratory.claims.scripts import prompt
from loadtests.laboratory.simulate.crowd import Crowd
from loadtests.laboratory.simulate.outcomes import Outcome
from loadtests.laboratory.simulate.scenario import Scenario, fleet


def outcome(script: str, worker: str) -> Outcome:
    return dataclasses.replace(Outcome(0.0, 1, 1, 0, 0.0), script=script, worker=worker)


def test_same_worker_compares_with_the_last_request_of_the_prefix() -> None:
    seen = [
        outcome("a/1", "w1"),
        outcome("b/1", "w2"),
        outcome("a/2", "w1"),
        outcome("a/3", "w2"),
        outcome("a/4", "w2"),
    ]
    assert same_worker(seen) == 2 / 3
    assert same_worker([outcome("alone 1", "w1"), outcome("alone 2", "w1")]) == 0.0


def test_figures_are_rates_of_what_was_answered() -> None:
    def scenario(measured_s: int) -> Scenario:
        scripts = [prompt("common", 6_400, f"{n}", 8_000, 50) for n in range(20)]
        crowd = Crowd(scripts, users=2, pause_s=(1.0, 1.0))
        workers = fleet(PROFILES["demo"], 2, crowd, 1.0, None)
        return Scenario("test", crowd, 1.0, workers, requests=measured_s, sessions_named=False)

    found = figures(Arm("by prefix", "consistent_hash", partial(scenario, 60)), 1)
    assert found.same_worker == 1.0
    assert found.hit == pytest.approx(found.ideal_hit, abs=0.01)
    assert 0.78 < found.hit <= 0.8
    assert found.input_tokens == pytest.approx(8_000 * found.requests)
    assert found.output_tokens == pytest.approx(50 * found.requests)
    assert found.requests == pytest.approx(2 / (1.0 + found.e2e_mean), rel=0.05)


@pytest.mark.parametrize(("factor", "said"), [(1.223, "+22.3 %"), (0.5, "-50.0 %"), (1.0, "+0.0 %")])
def test_a_change_is_said_with_its_sign(factor: float, said: str) -> None:
    assert change(factor) == said
