"""How far a request has come. The loop alone writes it, with each step's value; its record is made of it at the end."""

import time

from router.http.lessons import Lesson
from router.observe.record import ERROR_STATUS, RequestRecord
from router.routing.asked import Asked
from router.routing.choose import Choice
from router.routing.prompt_record import PromptRecord
from router.routing.waiting_room import MEMORY, SATURATED
from router.shadow.shadows import Shadowed
from router.wire.exchange import Exchange


class Progress:
    """The last value of each step. What has not happened yet is None, or 0."""

    __slots__ = (
        "asked",
        "attempts",
        "choice",
        "dispatched_at",
        "first_byte_at",
        "lesson",
        "prompt",
        "queued_s",
        "shadowed",
    )

    def __init__(self) -> None:
        self.asked: Asked | None = None
        self.choice: Choice | None = None
        self.attempts = 0
        self.queued_s = 0.0
        self.dispatched_at = 0.0
        self.first_byte_at = 0.0
        self.lesson = Lesson()
        self.shadowed: Shadowed | None = None
        self.prompt: PromptRecord | None = None
        """Of the last attempt."""

    def record(self, exchange: Exchange, outcome: str) -> RequestRecord:
        """What became of the request."""
        if outcome == "ok" and exchange.status >= ERROR_STATUS:
            outcome = f"status_{exchange.status // 100}xx"
        asked, choice, usage = self.asked, self.choice, self.lesson.usage
        return RequestRecord(
            ended_ts=time.time(),
            ended_at=exchange.clock(),
            request_id=exchange.request_id,
            method=exchange.method,
            path=exchange.endpoint if exchange.api else exchange.path,
            endpoint=exchange.endpoint,
            status=exchange.status,
            outcome=outcome,
            started_at=exchange.started_at,
            received_at=exchange.received_at,
            queued_s=self.queued_s,
            queued_for=self._queued_for(),
            dispatched_at=self.dispatched_at,
            first_byte_at=self.first_byte_at,
            model=asked.model if asked is not None else "",
            client=exchange.client.label if exchange.client is not None else "",
            worker=choice.worker.id if choice is not None else "",
            attempts=self.attempts,
            reason=choice.reason if choice is not None else "",
            candidates=choice.candidates if choice is not None else 0,
            source=choice.source if choice is not None else "",
            stream=asked.stream if asked is not None else False,
            prompt_tokens=self.lesson.prompt_tokens,
            predicted_cached_tokens=choice.cached_tokens if choice is not None else 0,
            cached_tokens=usage.cached_tokens if usage is not None else None,
            completion_tokens=usage.completion_tokens if usage is not None else None,
            session=asked.turn.standing if asked is not None and asked.turn is not None else "",
            trace=exchange.trace,
        )

    def _queued_for(self) -> str:
        if not self.queued_s or self.asked is None:
            return ""
        return MEMORY if self.asked.turn is not None and self.asked.turn.waited else SATURATED
