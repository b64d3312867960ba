"""What was decided on recorded traffic, and on loads that no traffic comes to, is decided again: to the last bit."""

from collections import Counter
from typing import Any

import pytest

from tests.router.routing.recorded import replay

MAKE = {"events": replay.of_events, "extremes": replay.of_extremes}
EXPECTED = replay.expected()


@pytest.fixture(scope="module", params=sorted(MAKE))
def both(request: pytest.FixtureRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    return MAKE[request.param](), EXPECTED[request.param]


def test_the_default_chooses_the_same_for_the_same_reason_at_the_same_cost(
    both: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    found, expected = (one["decisions"] for one in both)
    assert len(found) == len(expected) >= 1_000
    wrong = [(number, pair) for number, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1]]
    assert not wrong, f"{len(wrong)} of {len(found)} decisions differ, the first: {wrong[0]}"


def test_every_other_policy_does_too(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    found, expected = (one["policies"] for one in both)
    assert [name for name in expected if found[name] != expected[name]] == []


def test_the_recording_has_every_kind_of_decision() -> None:
    decisions = [row for row in EXPECTED["events"]["decisions"] if len(row) > 1]
    reasons = Counter(row[1] for row in decisions)
    assert set(reasons) == {"cached", "spilled", "cold"}
    assert Counter(row[1] for row in EXPECTED["extremes"]["decisions"])["no_prompt"] > 100
    full = sum(row[-1] for row in decisions)
    assert 50 < full < len(decisions) - 50
    assert len({row[0] for row in decisions}) > 16
