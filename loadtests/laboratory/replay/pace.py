"""When conversations begin, and how long each pauses: closed loop, Poisson arrivals, or as recorded.

In every loop a conversation's next request waits for its last answer and for the pause after it. What differs is
whether conversations wait for each other: in the closed loop one begins when another one ends, so that a slow server
is asked less; arrivals do not care.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from loadtests.laboratory.replay.conversations import Conversation

Loop = Literal["closed", "poisson", "recorded"]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast, how much and how long."""

    loop: Loop = "closed"
    sessions: int = 16
    """Closed loop: conversations at the same time."""
    rate: float = 1.0
    """Poisson: conversations that begin, a second."""
    think_scale: float = 1.0
    """Factor to recorded pauses, and to recorded arrivals."""
    max_think_s: float = 60.0
    """Longer pauses, after scaling, are cut to this."""
    ramp_s: float = 0.0
    """Closed loop: the first conversations begin spread over this time."""
    max_turns: int = 0
    """Of each conversation; 0 for all."""
    seed: int = 1

    def think_s(self, recorded_s: float) -> float:
        return min(self.max_think_s, recorded_s * self.think_scale)

    def starts_s(self, conversation: Conversation, number: int, rng: random.Random, before_s: float) -> float:
        """When the conversation begins, in seconds since the replay's start."""
        if self.loop == "poisson":
            return before_s + rng.expovariate(self.rate)
        if self.loop == "recorded":
            return (conversation.starts_s or 0.0) * self.think_scale
        return self.ramp_s * number / self.sessions if number < self.sessions else 0.0


def arrivals(pace: Pace, conversations: Iterator[Conversation]) -> Iterator[tuple[float, Conversation]]:
    """Conversations with the time at which each begins."""
    rng = random.Random(pace.seed)
    at_s = 0.0
    for number, conversation in enumerate(conversations):
        at_s = pace.starts_s(conversation, number, rng, at_s)
        yield at_s, conversation
