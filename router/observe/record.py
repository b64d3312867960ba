"""A finished request as a value: made once, at the outermost boundary, whatever happened.

The access log, the metrics and the traces read it and nothing else, so none of them knows the request's path. It holds
no word of a prompt.
"""

import msgspec

from router.observe.trace_context import TraceContext

ERROR_STATUS = 400


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one request. Moments are seconds of the monotonic clock, 0 for what did not happen; token counts
    are None where no engine reported them."""

    ended_ts: float
    """The end, in seconds since 1970."""
    ended_at: float
    request_id: str
    method: str
    path: str
    """The path in the workers' API. The client wrote it only where no endpoint is known by name."""
    endpoint: str
    """From a closed set: fit for a label."""
    status: int
    outcome: str
    started_at: float
    received_at: float = 0.0
    """The last byte of the request was in."""
    queued_s: float = 0.0
    """Time spent waiting in the router."""
    queued_for: str = ""
    """What it waited for: room in the workers' memory, or a worker that is not saturated."""
    dispatched_at: float = 0.0
    first_byte_at: float = 0.0
    model: str = ""
    client: str = ""
    worker: str = ""
    attempts: int = 0
    reason: str = ""
    candidates: int = 0
    """Among how many workers was chosen."""
    source: str = ""
    stream: bool = False
    prompt_tokens: int = 0
    predicted_cached_tokens: int = 0
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    session: str = ""
    """Whose turn it was: a word of `router.sessions.recognition.turn.Standing`."""
    trace: TraceContext | None = None

    @property
    def duration_s(self) -> float:
        """From the request's start to its end."""
        return self.ended_at - self.started_at

    @property
    def overhead_s(self) -> float:
        """What the router itself took until the first byte went to a worker; 0 where none did."""
        return self.dispatched_at - self.received_at - self.queued_s if self.dispatched_at else 0.0

    @property
    def ttft_s(self) -> float:
        """From the last byte of the request to the first one of the answer; 0 where none came."""
        return self.first_byte_at - self.received_at if self.first_byte_at else 0.0

    @property
    def answered(self) -> bool:
        """A worker's answer began, and is no error."""
        return bool(self.first_byte_at) and self.status < ERROR_STATUS
