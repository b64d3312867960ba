"""Faults on command: what `POST /emulator/fault` asks for, and which requests it affects.

A fault strikes the next `count` requests (all of them if null) whose path starts with `path`, then it is over.
"""

import msgspec

KINDS = {
    "none": "nothing",
    "reset": "TCP reset after the request was read, before any response byte",
    "drop_keepalive": "close, without a byte, on the second or a later request of a connection",
    "hang_before": "read the request and never answer",
    "hang_headers": "answer 200 and the headers, then nothing",
    "hang_after": "stop, connection open, after `after_chunks` chunks",
    "slow": "wait `delay_s` before every chunk",
    "close_mid_stream": "close the connection after `after_chunks` chunks",
    "reset_mid_stream": "TCP reset after `after_chunks` chunks",
    "cut_frame": "close in the middle of the chunk after `after_chunks` chunks",
    "error_event": "an error event, then [DONE], after `after_chunks` chunks",
    "large_headers": "a response header of 32 KB",
    "cookie": "a Set-Cookie header",
    "redirect": "307 to /redirected",
    "gzip": "the body in gzip, whatever the client accepts",
    "comments_first": "two SSE comments before the first event",
}
STATUS = "status_"
"""`status_<n>` answers that status with an error body."""


class Fault(msgspec.Struct, frozen=True):
    """One kind of fault, and its parameters."""

    kind: str
    count: int | None = None
    after_chunks: int = 1
    delay_s: float = 0.1
    path: str = "/v1/"
    retry_after: str | None = None
    """`Retry-After` of a `status_<n>` answer."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS and not self.status:
            raise ValueError(f"unknown fault {self.kind!r}; known: {', '.join(KINDS)}, {STATUS}<n>")

    @property
    def status(self) -> int:
        """The HTTP status to answer, or 0."""
        digits = self.kind.removeprefix(STATUS)
        return int(digits) if digits != self.kind and digits.isdecimal() and 400 <= int(digits) <= 599 else 0


NO_FAULT = Fault("none")


class Faults:
    """The fault in force, if any."""

    def __init__(self) -> None:
        self._fault = NO_FAULT
        self._left: int | None = 0
        self.struck = 0
        """Requests struck since the start."""

    def set(self, fault: Fault) -> None:
        self._fault, self._left = fault, fault.count

    def take(self, path: str, reused_connection: bool) -> Fault:
        """The fault that strikes a request for `path`: NO_FAULT for most."""
        fault = self._fault
        if fault is NO_FAULT or self._left == 0 or not path.startswith(fault.path):
            return NO_FAULT
        if fault.kind == "drop_keepalive" and not reused_connection:
            return NO_FAULT
        if self._left is not None:
            self._left -= 1
        self.struck += 1
        return fault
