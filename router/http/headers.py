"""Which headers go through, in both directions.

Everything end-to-end is kept as it came; hop-by-hop headers, and those that only this hop understands (the router's own
key, the host), are not. Nothing is added but the request id.
"""

from collections.abc import Iterable

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
DROPPED_FROM_REQUEST = HOP_BY_HOP | {b"host", b"content-length", b"expect", b"x-request-id", b"x-warmroute-admin-key"}
DROPPED_FROM_ANSWER = HOP_BY_HOP | {b"location", b"content-location", b"refresh", b"alt-svc"}
"""The last four would show a worker's own address, where nothing but the router is to call."""
CREDENTIALS = frozenset({b"authorization", b"x-api-key"})

BODYLESS = frozenset({204, 304})
MAX_REQUEST_ID_BYTES = 128

RawHeaders = Iterable[tuple[bytes, bytes]]


class RequestHeaders:
    """What one pass over a client's headers found. `forward` is what every worker gets, less the request id: pairs of
    name (in lower case) and value, which become bytes in `request_head` alone."""

    __slots__ = (
        "admin_key",
        "authorization",
        "content_length",
        "content_type",
        "forward",
        "has_body",
        "request_id",
        "session",
        "upgrade",
    )

    def __init__(self, raw: RawHeaders, keep_credentials: bool, session_header: bytes = b"x-session-id") -> None:
        self.request_id = b""
        self.session = b""
        self.authorization = b""
        self.admin_key = b""
        self.content_length: int | None = None
        self.content_type = b""
        self.has_body = False
        self.upgrade = b""
        forward: list[tuple[bytes, bytes]] = []
        hops: set[bytes] = set()
        for name, value in raw:
            if name in DROPPED_FROM_REQUEST:
                self._note(name, value, hops)
                continue
            if name in CREDENTIALS:
                self.authorization = self.authorization or value
                if not keep_credentials:
                    continue
            elif name == b"content-type":
                if self.content_type:
                    continue  # of two, engines take the first or the last: they get one
                self.content_type = value
            elif name == session_header:
                self.session = value
            forward.append((name, value))
        self.forward = [pair for pair in forward if pair[0] not in hops] if hops else forward

    def _note(self, name: bytes, value: bytes, hops: set[bytes]) -> None:
        if name == b"content-length":
            self.content_length = int(value)
            self.has_body = True
        elif name == b"transfer-encoding":
            self.has_body = True
        elif name == b"x-request-id":
            self.request_id = value[:MAX_REQUEST_ID_BYTES]
        elif name == b"x-warmroute-admin-key":
            self.admin_key = value
        elif name == b"upgrade":
            self.upgrade = value.lower()
        elif name == b"connection":
            named = (token.strip().lower() for token in value.split(b","))
            hops.update(hop for hop in named if hop not in (b"close", b"keep-alive", b""))


def response_headers(raw: RawHeaders, status: int) -> list[tuple[bytes, bytes]]:
    """A worker's response headers for the client: the same bytes, without hop-by-hop headers, and without the length of
    a body that the status does not have (uvicorn would insist on it)."""
    kept = []
    extra: list[bytes] = []
    for name, value in raw:
        lower = name.lower()
        if lower not in DROPPED_FROM_ANSWER:
            kept.append((lower, value))
        elif lower == b"connection":
            extra.extend(token.strip().lower() for token in value.split(b","))
    if status in BODYLESS:
        extra.append(b"content-length")
    return [pair for pair in kept if pair[0] not in extra] if extra else kept
