"""The worlds of the setting `shadow`, each with its policy and a memory of its own."""

import random

import policies
from router.build.basics import Basics
from router.build.limits import index_limits
from router.build.make_sharing import Sharing
from router.shadow.shadows import Shadows
from router.shadow.world import World


def make_shadows(basics: Basics, sharing: Sharing | None) -> Shadows:
    """Draws from generators of its own, so that what is served is the same with shadows and without."""
    limits = index_limits(basics.settings, basics.tuning)
    worlds = {}
    for name in basics.settings.shadows:
        rng = random.Random(f"{basics.tuning.seed} {name}")
        worlds[name] = World(policies.build(name, rng), limits, rng)
    return Shadows(worlds, routers=(lambda: sharing.load.routers) if sharing is not None else lambda: 1)
