"""The search for the knee, on a made-up fleet whose knees are known."""

import pytest

from loadtests.simulate.knee import PRECISION, find
from loadtests.simulate.outcomes import Summary, summary
from loadtests.simulate.scenario import Scenario
from tests.loadtests.simulate.test_run import scenario

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


def test_asks_first_whoever_carried_the_last_load() -> None:
    _, asked = search(4.0, KNEES)
    assert asked.count("bad") < asked.count("better")


def test_no_knee_at_all_is_said() -> None:
    with pytest.raises(ValueError, match="no load"):
        search(1.0, {"bad": 0.0})
    with pytest.raises(ValueError, match="no load is too much"):
        search(1.0, {"all": 1e9})
