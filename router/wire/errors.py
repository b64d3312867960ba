"""Errors in the shape of the API that was called, as values.

OpenAI: `{"error": {message, type, param, code}}`; Anthropic: `{"type": "error", "error": {type, message}}`. The same
error inside a running stream is an event of that API. Messages never quote the prompt.
"""

from http import HTTPStatus
from typing import Literal, Self

import msgspec

Style = Literal["openai", "anthropic", "responses"]

OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
    501: "not_implemented_error",
    503: "service_unavailable_error",
    504: "timeout_error",
}
ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
BUSY = frozenset({"no_room", "overloaded", "queue_full", "queue_timeout"})
"""Codes of refusals for lack of room. They are 503: some clients take a 429 for their own fault, and give up."""
MAX_QUOTED = 1000
"""Characters of a worker's error that are passed on in an event."""
ANTHROPIC_BUSY = 529
"""What Anthropic's API answers in place of 503 when it is overloaded."""


class ApiError(Exception):
    """An answer that Warmroute itself gives instead of a worker's. `retry_after_s` becomes a Retry-After header."""

    outcome = "refused"
    """How the request ended, as metrics name it."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.in_line: int | None = None
        """Requests that waited before this one, where it was refused for lack of room."""
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s

    def status_in(self, style: Style) -> int:
        """The status as this API has it."""
        return ANTHROPIC_BUSY if style == "anthropic" and self.code in BUSY else self.status

    def behind(self, in_line: int) -> Self:
        """The same, saying how many waited before this request."""
        self.in_line = in_line
        self.message += f" Requests in line before this one: {in_line}."
        return self


class UnservedError(ApiError):
    """A request that was let in, and that no worker answered, or not to the end."""

    def __init__(
        self, outcome: str, status: int, message: str, code: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(status, message, code, retry_after_s=retry_after_s)
        self.outcome = outcome


def exhausted() -> UnservedError:
    """The router has no file or port left to call a worker with."""
    return UnservedError("router_error", 503, "The router can open no more connections.", "router_exhausted", 1)


def check_redirect(status: int) -> None:
    """Raises UnservedError for a worker's redirect in place of an answer: it would reveal a worker's address, which the
    client cannot call. 304 is an answer."""
    if 300 <= status < 400 and status != HTTPStatus.NOT_MODIFIED:
        message = "The worker answered with a redirect, which is not passed on."
        raise UnservedError("worker_failed", 502, message, "worker_redirected")


def told_late(status: int, body: bytes) -> UnservedError:
    """What a worker answered in place of a stream, as an error: the client has got the head of a stream already."""
    if status < HTTPStatus.BAD_REQUEST:
        return UnservedError("worker_failed", 502, "The worker did not answer with a stream.", "worker_failed")
    message = f"The worker answered with status {status}."
    try:
        said = msgspec.json.decode(body, type=_EngineError)
        message = (said.message or said.error.message or message)[:MAX_QUOTED]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return UnservedError(f"status_{status // 100}xx", status, message)


class _Told(msgspec.Struct, frozen=True):
    message: str = ""


class _EngineError(_Told, frozen=True):
    """`{"error": {"message": ...}}`, or `{"message": ...}`."""

    error: _Told = _Told()


def error_body(style: Style, status: int, message: str, code: str | None = None, param: str | None = None) -> bytes:
    """The JSON body of an error answer."""
    if style == "anthropic":
        kind = ANTHROPIC_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})
    kind = OPENAI_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code or status}})


def error_event(style: Style, error: ApiError) -> bytes:
    """The end of a stream that broke in the middle: one complete SSE event (OpenAI's is followed by [DONE], as vLLM
    does it)."""
    if style == "responses":
        event = {"type": "error", "code": error.code or "server_error", "message": error.message, "param": error.param}
        return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"
    body = error_body(style, error.status_in(style), error.message, error.code, error.param)
    if style == "anthropic":
        return b"event: error\ndata: " + body + b"\n\n"
    return b"data: " + body + b"\n\ndata: [DONE]\n\n"
