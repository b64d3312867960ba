"""What shadows say, against the laboratory: the same sessions, played for real under the policy of the shadow.

The load is below the knee of the worse policy. Above it a slower answer brings the next turn later, and a shadow, which
sees the turns of the policy that serves, cannot know that. `-s` prints the figures.
"""

import dataclasses

import pytest

from loadtests.engine.profiles import PROFILES
from loadtests.laboratory.simulate.hosts import MODEL
from loadtests.laboratory.simulate.run import Run
from loadtests.laboratory.simulate.scenario import Scenario, fleet
from loadtests.laboratory.simulate.traffic import Mix
from router.shadow.shadows import SERVED, Shadows
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
ARMS = ("round_robin", "least_loaded")
POINTS = 0.02


def share(shadows: Shadows, policy: str) -> float:
    return shadows.cached_tokens.values[MODEL, policy] / shadows.prompt_tokens.values[(MODEL,)]


def restart(shadows: Shadows) -> None:
    """Count from here on: the memories are warm."""
    for counter in (shadows.prompt_tokens, shadows.cached_tokens):
        counter.values.clear()


@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_a_shadow_s_hit_rate_is_that_of_a_real_run_of_its_policy(ratio: float) -> None:
    profiles = fleet(PROFILES["demo"], 4, MIX, 4.0, ratio)
    scenario = Scenario("test", MIX, 4.0, profiles, requests=1200, session_wait_s=0.0)
    run = Run(scenario, "expected_ttft", 1)
    (router,) = run._routers
    router.shadow(ARMS)
    run._timeline.at(scenario.warm_s, restart, router.shadows)
    served = run.play()
    assert share(router.shadows, SERVED) == pytest.approx(served.hit, abs=POINTS)
    for arm in ARMS:
        real = Run(scenario, arm, 1).play()
        print(f"{arm}, working set / memory {ratio}: shadow {share(router.shadows, arm):.1%}, real {real.hit:.1%}")
        assert share(router.shadows, arm) == pytest.approx(real.hit, abs=POINTS)
        assert served.hit - real.hit > 0.1
