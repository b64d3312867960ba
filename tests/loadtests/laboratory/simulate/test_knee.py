"""The search for the knee, on a made-up fleet whose knees are known."""

import pytest

from loadtests.laboratory.simulate.knee import PRECISION, find
from loadtests.laboratory.simulate.outcomes import Summary, summary
from loadtests.laboratory.simulate.scenario import Scenario
from tests.loadtests.laboratory.simulate.test_run import scenario

KNEES = {"good": 7.0, "better": 9.0, "bad": 0.5}


def search(guess: float, knees: dict[str, float]) -> tuple[float, list[str]]:
    asked: list[str] = []
    empty = summary([], 1.0, [1.0], 1.0)

    def play(scenario: Scenario, arm: str, seed: int) -> Summary:
        asked.append(arm)
        values = {field: getattr(empty, field) for field in empty.__slots__}
        return Summary(**values | {"goodput": float(scenario.requests_per_s <= knees[arm])})

    return find(lambda rate: scenario(rate=rate), list(knees), play, guess), asked


@pytest.mark.parametrize("guess", [0.3, 7.5, 9.0, 60.0])
def test_finds_the_best_arms_knee_from_any_guess(guess: float) -> None:
    found, _ = search(guess, KNEES)
    assert found <= KNEES["better"] < found * PRECISION


def test_little_load_is_one_at_which_memory_is_as_scarce_as_asked_for() -> None:
    asked: list[float] = []
    empty = summary([], 1.0, [1.0], 1.0)

    def play(scenario: Scenario, arm: str, seed: int) -> Summary:
        asked.append(scenario.requests_per_s)
        values = {field: getattr(empty, field) for field in empty.__slots__}
        return Summary(**values | {"goodput": 1.0 / (1.0 + scenario.requests_per_s)})

    def at(rate: float) -> Scenario:
        return scenario(rate=rate, ratio=2.0)

    find(at, ["any"], play, 10.0, 2.0)
    assert at(asked[0]).ratio >= 0.98 * 2.0 > at(asked[0] / PRECISION).ratio
    assert min(asked) == asked[0]


def test_asks_first_whoever_carried_the_last_load() -> None:
    _, asked = search(4.0, KNEES)
    assert asked.count("bad") < asked.count("better")


def test_no_knee_at_all_is_said() -> None:
    with pytest.raises(ValueError, match="no load"):
        search(1.0, {"bad": 0.0})
    with pytest.raises(ValueError, match="no load is too much"):
        search(1.0, {"all": 1e9})
