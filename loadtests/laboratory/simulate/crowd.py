"""A closed loop: a number of users, each with one session at a time, as most published measurements have it.

Users do not come faster because the fleet is fast: arms under equal seeds meet equal users, not equal arrivals, and
what is compared is what they get done.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from loadtests.laboratory.simulate.sessions import Session
from loadtests.laboratory.simulate.traffic import Mix, Start


@dataclass(frozen=True)
class Crowd(Mix):
    """`users` at once. When a session is over its user begins another one, after a pause."""

    users: int = 1
    pause_s: tuple[float, float] = (0.0, 0.0)
    """Between two sessions of a user, uniform."""

    @property
    def recorded(self) -> bool:
        return False

    def live_sessions(self, requests_per_s: float) -> float:
        return float(self.users)

    def working_set(self, requests_per_s: float) -> float:
        return self.users * self.held / self.duration_s if self.duration_s else 0.0

    def starts(self, requests_per_s: float, warm_s: float, rng: random.Random) -> Iterator[Start]:
        """All users, somewhere in their first session."""
        starts = sorted((self._under_way(warm_s, rng) for _ in range(self.users)), key=lambda start: start.at_s)
        for user, start in enumerate(starts):
            start.session.user = user
        yield from starts

    def after(self, ended: Session, now_s: float, rng: random.Random) -> Start | None:
        """What the user does whose session is over now."""
        script = self.scripts[int(rng.random() * len(self.scripts))]
        session = Session.copy(script, rng)
        session.user = ended.user
        return Start(now_s + rng.uniform(*self.pause_s), session)
