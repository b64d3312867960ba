"""Routing policies: rules from candidates to a selection, chosen by name.

A *candidate* is an immutable snapshot of one worker for one request, a *selection* the chosen candidate with its reason
and cost (`policies.api`). To try a rule of your own, write a class like those here and name its file (`policies.own`).
This package imports the standard library only.
"""

import random
from collections.abc import Callable

from policies import own
from policies.api import Policy
from policies.consistent_hash import ConsistentHash
from policies.expected_ttft import ExpectedTtft
from policies.least_loaded import LeastLoaded
from policies.lmetric import LMetric
from policies.power_of_two import PowerOfTwo
from policies.prefix_cost import PrefixCost
from policies.prefix_threshold import PrefixThreshold
from policies.random_choice import RandomChoice
from policies.round_robin import RoundRobin
from policies.sticky_until_saturated import StickyUntilSaturated

POLICIES: dict[str, Callable[[random.Random], Policy]] = {
    "consistent_hash": ConsistentHash,
    "expected_ttft": ExpectedTtft,
    "least_loaded": LeastLoaded,
    "lmetric": LMetric,
    "power_of_two": PowerOfTwo,
    "prefix_cost": PrefixCost,
    "prefix_threshold": PrefixThreshold,
    "random": RandomChoice,
    "round_robin": RoundRobin,
    "sticky_until_saturated": StickyUntilSaturated,
}
"""Name, as the setting `policy` spells it, to class."""


def build(name: str, rng: random.Random) -> Policy:
    """The policy called `name`, or that of `FILE.py:CLASS`, drawing from `rng`. Raises ValueError, listing the names,
    for an unknown one, and for a file that cannot be used."""
    if own.is_own(name):
        return own.load(name)(rng)
    if name not in POLICIES:
        raise ValueError(f"unknown policy {name!r}: choose one of {', '.join(POLICIES)}, or FILE.py:CLASS")
    return POLICIES[name](rng)
