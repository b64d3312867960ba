"""What the client saw of one request."""

import math
from typing import NamedTuple

NAN = math.nan


class Usage(NamedTuple):
    """Token counts as the engine reported them; -1 for what it did not report."""

    prompt_tokens: int = -1
    cached_tokens: int = -1
    answer_tokens: int = -1


class Decision(NamedTuple):
    """What the router said that it decided, if it says so (`--decision-headers`)."""

    worker: str = ""
    reason: str = ""
    cached_tokens: int = -1
    """Predicted."""


class Record(NamedTuple):
    """One request. Times are seconds since the replay began; NaN for what did not come."""

    session: str
    turn: int
    """From 0."""
    asked_s: float
    first_s: float
    """When the first token was there, not the first byte: engines may send a head or a role before it."""
    ended_s: float
    error: str = ""
    """Empty when the answer was complete; else a short kind: `status 503`, `no connection`, `cut off`, ..."""
    detail: str = ""
    """The beginning of what the server said of the error."""
    usage: Usage = Usage()
    decision: Decision = Decision()

    @property
    def ttft_s(self) -> float:
        return self.first_s - self.asked_s

    @property
    def whole_s(self) -> float:
        """End to end."""
        return self.ended_s - self.asked_s

    @property
    def per_token_s(self) -> float:
        """Mean time between two tokens of the answer; NaN where there are no two."""
        if self.error or self.usage.answer_tokens < 2:
            return NAN
        return (self.ended_s - self.first_s) / (self.usage.answer_tokens - 1)
