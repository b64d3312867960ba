"""What every part of a router is made from: its settings, its secret, its random numbers, its instruments."""

import random
import secrets
from dataclasses import dataclass

from router.build.tuning import Tuning
from router.observe.metrics import Instruments
from router.settings import Settings
from router.shared.keys import Keys
from router.shared.seal import Seal


@dataclass(frozen=True, slots=True)
class Basics:
    """Made once, and given to each `make_*` function."""

    settings: Settings
    secret: bytes
    """Signs what routers share: the setting `index_secret`, or random bytes, which no other process knows."""
    rng: random.Random
    instruments: Instruments
    tuning: Tuning
    """What no operator sets."""

    @property
    def keys(self) -> Keys:
        """The keys in Redis of this deployment."""
        return Keys(self.settings.redis_prefix)

    def seal(self, purpose: str) -> Seal:
        """What signs one purpose's values in Redis."""
        return Seal(self.secret, self.settings.redis_prefix, purpose)

    @property
    def worker_key(self) -> str:
        """What workers want to be shown; empty for nothing."""
        key = self.settings.worker_api_key
        return key.value if key else ""


def basics_of(settings: Settings, tuning: Tuning) -> Basics:
    """With equal seeds, equal random numbers are drawn."""
    rng = random.Random(tuning.seed if tuning.seed is not None else secrets.randbits(64))
    secret = settings.index_secret.value.encode() if settings.index_secret else secrets.token_bytes(32)
    return Basics(settings, secret, rng, Instruments(), tuning)
