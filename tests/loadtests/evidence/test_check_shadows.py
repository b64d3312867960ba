"""What shadows say, against the laboratory: the same sessions, played for real under the policy of the shadow.

The load is below the knee of the worse policy. Above it a slower answer brings the next turn later, and a shadow, which
sees the turns of the policy that serves, cannot know that. `-s` prints the figures.
"""

import dataclasses

import pytest

from loadtests.engine.profiles import PROFILES
from loadtests.evidence.check_shadows import ARMS, compare
from loadtests.laboratory.simulate.scenario import Scenario, fleet
from loadtests.laboratory.simulate.traffic import Mix
from router.shadow.shadows import SERVED
from tests.loadtests.laboratory.simulate.scripts import growing

pytestmark = pytest.mark.slow

PAUSES = 10.0
"""Of people: with those of the scripts, under a second, the loop is nearly closed."""
MIX = Mix(
    [
        dataclasses.replace(one, turns=[turn._replace(think_s=PAUSES * turn.think_s) for turn in one.turns])
        for one in growing(30)
    ]
)
POINTS = 0.02


@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_a_shadow_s_hit_rate_is_that_of_a_real_run_of_its_policy(ratio: float) -> None:
    profiles = fleet(PROFILES["demo"], 4, MIX, 4.0, ratio)
    served, *others = compare(Scenario("test", MIX, 4.0, profiles, requests=1200))
    assert [each.arm for each in (served, *others)] == [SERVED, *ARMS]
    for arm, shadow, real, _ in (served, *others):
        print(f"{arm}, working set / memory {ratio}: shadow {shadow:.1%}, real {real:.1%}")
        assert shadow == pytest.approx(real, abs=POINTS)
    assert all(served.real - other.real > 0.1 for other in others)
