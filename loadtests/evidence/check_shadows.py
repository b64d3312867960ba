"""What shadows say, against the laboratory: recorded sessions under one policy with shadows, then under each of these.

    python -m loadtests.evidence.check_shadows swe_agent.jsonl.zst --rate 2 --requests 1000

All sessions are admitted at once, since shadows hold none back.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import NamedTuple

from loadtests.laboratory.simulate import options
from loadtests.laboratory.simulate.hosts import MODEL
from loadtests.laboratory.simulate.run import Run
from loadtests.laboratory.simulate.scenario import Scenario
from router.clients import ANONYMOUS
from router.shadow.months import Months
from router.shadow.shadows import SERVED, Shadows

ARMS = ("round_robin", "least_loaded")
SERVING = "expected_ttft"


class Compared(NamedTuple):
    """One policy's hit rate, as a shadow says and in a run of its own. Shares, 0..1."""

    arm: str
    shadow: float
    real: float
    ttft_p99: float
    """Of the run of its own, in seconds: above its knee it is long, and the shadow too kind."""


def compare(scenario: Scenario, arms: Sequence[str] = ARMS, seed: int = 1) -> list[Compared]:
    """What is served, and then each shadow, over the measured span."""
    scenario = dataclasses.replace(scenario, session_wait_s=0.0)
    run = Run(scenario, SERVING, seed)
    (router,) = run.routers
    router.shadow(arms)
    run.timeline.at(scenario.warm_s, restart, router.shadows)
    served = run.play()
    found = [Compared(SERVED, share(router.shadows, SERVED), served.hit, served.ttft_p99)]
    for arm in arms:
        real = Run(scenario, arm, seed).play()
        found.append(Compared(arm, share(router.shadows, arm), real.hit, real.ttft_p99))
    return found


def restart(shadows: Shadows) -> None:
    """Count from here on: the memories are warm."""
    shadows.counted = Months()


def share(shadows: Shadows, policy: str) -> float:
    """The share of the prompt tokens that a policy found cached."""
    counted = shadows.counted.since_start[MODEL, ANONYMOUS, policy]
    return counted.cached_tokens / counted.prompt_tokens


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line for each policy."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.evidence.check_shadows", description=__doc__)
    options.add_to(parser)
    parser.set_defaults(seeds=1, jobs=1)
    asked = options.options(parser.parse_args(argv))
    if asked.rate is None:
        parser.error("needs --rate")
    for arm, shadow, real, p99 in compare(asked.scenario(asked.pace(asked.mix()), asked.rate)):
        print(f"{arm:14} shadow {shadow:6.1%}  real {real:6.1%}  p99 of first tokens {p99:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
