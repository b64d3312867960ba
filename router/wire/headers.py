"""Which headers go through, in both directions.

End-to-end headers are kept as they came. Hop-by-hop headers, and those that only this hop understands (the router's own
key, the host), are dropped. Only the request id is added. The router and the worker must read the same headers: a
header that may occur once is not accepted twice, and a header that is dropped has no effect here.
"""

from collections.abc import Callable, Iterable

from router.wire.errors import ApiError

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
PRIORITY = b"x-warmroute-priority"
DROPPED_FROM_REQUEST = HOP_BY_HOP | {
    b"host",
    b"content-length",
    b"expect",
    b"x-request-id",
    b"x-warmroute-admin-key",
    PRIORITY,
    b"x-data-parallel-rank",
}
"""The last one names a rank of an engine: which one serves a request is the router's choice alone."""
DROPPED_FROM_ANSWER = HOP_BY_HOP | {b"location", b"content-location", b"refresh", b"alt-svc"}
"""The last four would reveal a worker's address, which only the router may call."""
CREDENTIALS = frozenset({b"authorization", b"x-api-key"})
SINGLE = CREDENTIALS | {b"content-type"}
"""Headers that may occur once: of two, some servers take the first and others the last."""
NOT_UNDER_ANOTHER_NAME = DROPPED_FROM_REQUEST | SINGLE
"""Some servers read `content_length` as `content-length`: such a name is dropped."""
VISIBLE = bytes(range(0x21, 0x7F))

BODYLESS = frozenset({204, 304})
MAX_REQUEST_ID_BYTES = 128

RawHeaders = Iterable[tuple[bytes, bytes]]


class RequestHeaders:
    """What one pass over a client's headers found. `forward` is what every worker gets, less the request id: pairs of
    name (in lower case) and value, which become bytes in `request_head` alone. Raises ApiError 400."""

    __slots__ = (
        "admin_key",
        "authorization",
        "content_length",
        "content_type",
        "forward",
        "has_body",
        "priority",
        "request_id",
        "session",
        "upgrade",
    )

    def __init__(self, raw: RawHeaders, keep_credentials: bool, session_header: bytes = b"x-session-id") -> None:
        self.request_id = b""
        self.session = b""
        self.authorization = b""
        self.admin_key = b""
        self.priority = b""
        self.content_length: int | None = None
        self.content_type = b""
        self.has_body = False
        self.upgrade = b""
        forward: list[tuple[bytes, bytes]] = []
        hops: set[bytes] = set()
        seen: set[bytes] = set()
        for name, value in raw:
            if name in DROPPED_FROM_REQUEST:
                self._note(name, value, hops)
                continue
            if name in SINGLE:
                if name in seen:
                    raise ApiError(400, f"There is more than one {name.decode()} header.", "invalid_header")
                seen.add(name)
                self._note_single(name, value)
                if name in CREDENTIALS and not keep_credentials:
                    continue
            elif name == session_header:
                self.session = value
            elif b"_" in name and name.replace(b"_", b"-") in NOT_UNDER_ANOTHER_NAME:
                continue
            forward.append((name, value))
        self.forward = forward
        if hops:
            self._drop(hops)

    def replace(self, name: bytes, value: bytes) -> None:
        """Set the value that workers get for this header, in place of all that the client sent under its name."""
        self.forward = [pair for pair in self.forward if pair[0] != name]
        self.forward.append((name, value))

    def forget_keys(self, known: Callable[[bytes], bool]) -> None:
        """Drop credentials that are `known`: they are the router's own, and workers must not get them."""
        self.forward = [pair for pair in self.forward if pair[0] not in CREDENTIALS or not known(pair[1])]

    def _note_single(self, name: bytes, value: bytes) -> None:
        if name == b"content-type":
            self.content_type = value
        elif not self.authorization or (value and name == b"authorization"):
            self.authorization = value

    def _drop(self, hops: set[bytes]) -> None:
        """Drop the headers that the client's `Connection` names: they are for this hop only."""
        self.forward = [pair for pair in self.forward if pair[0] not in hops]
        if b"content-type" in hops:
            self.content_type = b""

    def _note(self, name: bytes, value: bytes, hops: set[bytes]) -> None:
        if name == b"content-length":
            self.content_length = int(value)
            self.has_body = True
        elif name == b"transfer-encoding":
            self.has_body = True
        elif name == b"x-request-id":
            self.request_id = b"" if value.translate(None, VISIBLE) else value[:MAX_REQUEST_ID_BYTES]
        elif name == b"x-warmroute-admin-key":
            self.admin_key = value
        elif name == PRIORITY:
            self.priority = value
        elif name == b"upgrade":
            self.upgrade = value.lower()
        elif name == b"connection":
            named = (token.strip().lower() for token in value.split(b","))
            hops.update(hop for hop in named if hop not in (b"close", b"keep-alive", b""))


def response_headers(raw: RawHeaders, status: int) -> list[tuple[bytes, bytes]]:
    """A worker's response headers (names in lower case) for the client: without hop-by-hop headers, and without a
    body's length if the status has no body (uvicorn would require it)."""
    pairs = list(raw)
    extra = [b"content-length"] if status in BODYLESS else []
    for name, value in pairs:
        if name == b"connection":
            extra += [token.strip().lower() for token in value.split(b",")]
    return [pair for pair in pairs if pair[0] not in DROPPED_FROM_ANSWER and pair[0] not in extra]
