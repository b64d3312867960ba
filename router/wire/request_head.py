"""Turns a request's head into bytes for a worker, and checks it a last time. No other code does this.

Before this module headers are pairs of name and value. A head that two parsers could read as different requests is
refused: a name that is no token (RFC 9110, 5.6.2), a value or a target that could hold the end of a line, a second
header that says where the body ends.
"""

import string
from collections.abc import Sequence
from typing import Final

from router.wire.errors import ApiError
from router.wire.headers import HOP_BY_HOP, VISIBLE
from router.wire.routes import NAMED_TARGETS

Headers = Sequence[tuple[bytes, bytes]]

_NAME_BYTES: Final = (string.ascii_lowercase + string.digits + "!#$%&'*+-.^_`|~").encode()
_CONTROL_BYTES: Final = bytes(byte for byte in (*range(0x20), 0x7F) if byte != 0x09)
_WRITTEN_HERE: Final = HOP_BY_HOP | {b"host", b"content-length"}
USUAL_NAMES: Final = frozenset(
    {b"accept", b"accept-encoding", b"accept-language", b"authorization", b"content-type", b"traceparent"}
    | {b"user-agent", b"x-api-key", b"x-forwarded-for", b"x-request-id", b"x-session-id", b"x-stainless-arch"}
    | {b"x-stainless-async", b"x-stainless-lang", b"x-stainless-os", b"x-stainless-package-version"}
    | {b"x-stainless-raw-response", b"x-stainless-read-timeout", b"x-stainless-retry-count", b"x-stainless-runtime"}
    | {
        b"x-data-parallel-rank",
        b"x-stainless-runtime-version",
        b"x-stainless-timeout",
        b"anthropic-version",
        b"anthropic-beta",
    }
)
"""Names that pass the check: those that clients send with nearly every request."""
UPGRADE: Final = b"connection: Upgrade\r\nupgrade: websocket\r\n"
"""The end of a WebSocket handshake's head, in both directions."""


def request_head(line: tuple[bytes, bytes, bytes], host: bytes, headers: Headers, ending: bytes) -> bytes:
    """The head that a worker gets. `line` is method, the worker's own path prefix, and the client's target; `ending`
    the lines on this connection and its body, from `body_length` or `UPGRADE`. Raises ApiError 400 for what could be
    read otherwise. Looking costs 1 to 5 us."""
    method, prefix, target = line
    if target not in NAMED_TARGETS and (target.translate(None, VISIBLE) or target[:1] != b"/"):
        raise ApiError(400, "The request target must be a path of visible ASCII characters.", "invalid_target")
    check_headers(headers)
    lines = b"".join([b"%b: %b\r\n" % pair for pair in headers])
    return b"%b %b%b HTTP/1.1\r\nhost: %b\r\n%b%b\r\n" % (method, prefix, target, host, lines, ending)


def check_headers(headers: Headers) -> None:
    """Raises ApiError 400 where a pair could be read as no header, or as more than one."""
    names = [name for name, _ in headers]
    values = b"".join([value for _, value in headers])
    if not (USUAL_NAMES.issuperset(names) or _are_names(names)):
        raise ApiError(400, "A header's name is not valid.", "invalid_header")
    if len(values) != len(values.translate(None, _CONTROL_BYTES)):
        raise ApiError(400, "A header's value holds a control character.", "invalid_header")


def _are_names(names: Sequence[bytes]) -> bool:
    return all(names) and not b"".join(names).translate(None, _NAME_BYTES) and _WRITTEN_HERE.isdisjoint(names)


def body_length(body: bytes | None) -> bytes:
    """The header line of a body's length; None for no body."""
    return b"" if body is None else b"content-length: %d\r\n" % len(body)
