"""The last decisions, with every candidate's price. They are kept only while somebody watches.

Pricing all candidates once more takes as long as the decision did (about 1 us a candidate), so nothing is kept until
somebody asks for the status, and no longer than 15 s after the last one asked. What must not be broken: no text of a
prompt and nothing else that a client wrote gets in here.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from router.dial.quoting import one_line
from router.observe.record import RequestRecord
from router.routing.asked import Asked
from router.routing.choose import Chooser
from router.routing.decide import Decision

WATCHED_S = 15.0
"""A page that watches asks more often than this."""
KEPT = 50
"""Decisions that are kept: about 2 KB each with eight candidates."""


@dataclass(slots=True)
class DecisionSeen:
    """One decision. What became of it is filled in at the request's end."""

    request: object | None
    """Known by identity, and forgotten when it has ended."""
    fields: dict[str, Any]


class DecisionLog:
    """A ring of the last decisions, of prompts alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wall = wall
        self._until = 0.0
        self._seen: deque[DecisionSeen] = deque(maxlen=KEPT)

    @property
    def watched(self) -> bool:
        """Does anybody look?"""
        return self._clock() < self._until

    def watch(self) -> list[dict[str, Any]]:
        """Somebody looks: the newest decision comes first. Those before the first look are not known."""
        self._until = self._clock() + WATCHED_S
        return [seen.fields for seen in reversed(self._seen)]

    def note(self, request: object, asked: Asked, decision: Decision, chooser: Chooser) -> None:
        """A prompt goes to a worker. Call it right after the decision, while its prices are what they were."""
        prompt = asked.prompts.get(decision.worker.format)
        fields = {
            "at": self._wall(),
            "model": one_line(asked.model),
            "client": asked.client.label if asked.client is not None else "",
            "session": asked.turn.standing if asked.turn is not None else "",
            "prompt_tokens": prompt.tokens if prompt is not None else 0,
            "source": prompt.source if prompt is not None else "",
            "waited_s": 0.0,
            "worker": decision.worker.id,
            "reason": decision.selection.reason,
            "predicted_cached_tokens": decision.selection.candidate.cached_tokens,
            "cached_tokens": None,
            "ttft_s": None,
            "outcome": "",
            "candidates": _prices(decision, chooser.costs(asked, decision)),
        }
        self._seen.append(DecisionSeen(request, fields))

    def finished(self, request: object, record: RequestRecord) -> None:
        """A request has ended: what came of it stands beside its decisions, of which it has one for each attempt."""
        if self._seen and not self.watched:
            self._seen.clear()
        for seen in self._seen:
            if seen.request is request:
                seen.request = None
                seen.fields["waited_s"] = record.queued_s
                seen.fields["cached_tokens"] = record.cached_tokens
                seen.fields["ttft_s"] = record.ttft_s or None
                seen.fields["outcome"] = record.outcome if record.worker == seen.fields["worker"] else "tried again"


def _prices(decision: Decision, costs: list[float]) -> list[dict[str, Any]]:
    """The chosen candidate's is the one that was compared; the others are reckoned after the policy has learned from
    its choice, and may differ in their last digits."""
    chosen = decision.selection
    return [
        {
            "worker": candidate.worker,
            "cached_tokens": candidate.cached_tokens,
            "uncached_tokens": candidate.uncached_tokens,
            "queued_tokens": candidate.queued_tokens,
            "in_flight": candidate.in_flight,
            "cost": chosen.cost if candidate is chosen.candidate else cost,
        }
        for candidate, cost in zip(decision.candidates, costs, strict=True)
    ]
