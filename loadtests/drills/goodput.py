"""What one load did, by client. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from loadtests.harness.results import End, Result, ttft_ms

NO_ROOM = 503
"""The router's refusal."""


class Sent(NamedTuple):
    """One request and its sender."""

    client: str
    result: Result
    tokens: int = 1
    """Of its own in the prompt: what it asks of the fleet."""


class Outcome(NamedTuple):
    """One load, of the requests sent while it was steady."""

    offered: float
    """Per second, as sent."""
    window_s: float
    sent: Sequence[Sent]
    depth: float
    """The most that waited in the router at once."""
    objective_s: float

    @property
    def good(self) -> list[Sent]:
        """Complete answers that began in time."""
        return [one for one in self.sent if one.result.end is End.COMPLETE and one.result.ttft_s <= self.objective_s]

    @property
    def goodput(self) -> float:
        """Good answers per second."""
        return len(self.good) / self.window_s

    @property
    def refused(self) -> int:
        return sum(one.result.status == NO_ROOM for one in self.sent)

    @property
    def lost(self) -> int:
        """Neither answered nor refused in order."""
        return sum(one.result.end is not End.COMPLETE and one.result.status != NO_ROOM for one in self.sent)

    def ttft_ms(self, share: float) -> float:
        """A quantile over all that were answered."""
        return ttft_ms([one.result for one in self.sent], share)

    def shares(self) -> dict[str, float]:
        """What each client got, in tokens of good answers, against its fair share: 1 is exactly fair."""
        asked: dict[str, float] = {}
        got: dict[str, float] = {}
        for one in self.sent:
            asked[one.client] = asked.get(one.client, 0) + one.tokens
        for one in self.good:
            got[one.client] = got.get(one.client, 0) + one.tokens
        fair = fair_shares(asked, sum(got.values()))
        return {client: got.get(client, 0) / fair[client] if fair[client] else math.nan for client in asked}


def fair_shares(asked: Mapping[str, float], capacity: float) -> dict[str, float]:
    """Max-min fairness: no client gets more than it asks for, and what is left is shared evenly among the others."""
    shares: dict[str, float] = {}
    left = capacity
    for place, client in enumerate(sorted(asked, key=lambda name: asked[name])):
        shares[client] = min(asked[client], left / (len(asked) - place))
        left -= shares[client]
    return shares
