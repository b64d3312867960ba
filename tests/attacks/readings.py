"""The same bytes as two HTTP parsers read them: h11, which follows the standard, and httptools, which is Node's.

Engines use either (uvicorn takes httptools where it is installed, else h11). What they do not read alike is how a
request is smuggled.
"""

from typing import NamedTuple

import h11
import httptools

Pairs = list[tuple[bytes, bytes]]


class Reading(NamedTuple):
    """One request, as a parser read it. Names are in lower case, values without the white space around them."""

    method: bytes
    target: bytes
    headers: Pairs
    body: bytes


class MisreadError(Exception):
    """The bytes are not one whole request, or not the same one to both parsers."""


def read_alike(data: bytes) -> Reading:
    """The one request in `data`. Raises MisreadError."""
    ours, theirs = read_h11(data), read_httptools(data)
    if len(ours) != 1 or ours != theirs:
        raise MisreadError(f"h11 reads {ours}, httptools reads {theirs} in {data!r}")
    return ours[0]


def read_h11(data: bytes) -> list[Reading]:
    """All requests in `data`. Raises MisreadError where it does not end with the last of them."""
    found: list[Reading] = []
    while data:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        parser.receive_data(data)
        try:
            request = parser.next_event()
            body = b""
            while type(event := parser.next_event()) is h11.Data:
                body += event.data
        except h11.RemoteProtocolError as error:
            raise MisreadError(f"h11: {error} in {data!r}") from error
        if not isinstance(request, h11.Request) or type(event) is not h11.EndOfMessage or event.headers:
            raise MisreadError(f"h11: no whole request in {data!r}")
        headers = [(bytes(name), bytes(value)) for name, value in request.headers]
        found.append(Reading(bytes(request.method), bytes(request.target), headers, body))
        data = bytes(parser.trailing_data[0])
    return found


class _Seen:
    """httptools' callbacks."""

    def __init__(self) -> None:
        self.targets: list[bytes] = []
        self.headers: list[Pairs] = []
        self.bodies: list[bytes] = []
        self.whole = 0

    def on_message_begin(self) -> None:
        self.targets.append(b"")
        self.headers.append([])
        self.bodies.append(b"")

    def on_url(self, url: bytes) -> None:
        self.targets[-1] += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[-1].append((name.lower(), value.strip(b" \t")))

    def on_body(self, body: bytes) -> None:
        self.bodies[-1] += body

    def on_message_complete(self) -> None:
        self.whole += 1


def read_httptools(data: bytes) -> list[Reading]:
    """All requests in `data`. Raises MisreadError where it does not end with the last of them."""
    seen = _Seen()
    parser = httptools.HttpRequestParser(seen)
    try:
        parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        raise MisreadError(f"httptools: {error} in {data!r}") from error
    if seen.whole != len(seen.targets) or seen.whole > 1:
        raise MisreadError(f"httptools: {seen.whole} of {len(seen.targets)} requests in {data!r}")
    return [
        Reading(parser.get_method(), target, headers, body)
        for target, headers, body in zip(seen.targets, seen.headers, seen.bodies, strict=True)
    ]
