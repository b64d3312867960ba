"""Attacks by a request's line, by the names and values of headers, and by how often they come."""

from collections.abc import Iterator

from tests.attacks.http_cases import AUTHORIZED, BODY, Case, framed, request
from tests.router.http.site import CHAT

_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def head_cases() -> list[Case]:
    """The table."""
    groups = (_names, _values, _targets, _lines, _repeated, _folds)
    return [case for group in groups for case in group()]


def _names() -> Iterator[Case]:
    odd = [
        bytes([byte]) for byte in range(256) if byte not in b"bcdfghjklmnopqrstuvwyzBCDEFGHIJKLMNOPQRSTUVWXYZ23456789"
    ]
    for byte in odd:
        fate = "served" if byte in _TOKEN else "refused"
        if byte == b":":
            fate = "served"
        elif byte in b"\r\n":
            fate = "either"
        yield Case(f"name with {byte!r}", request(b"x-a" + byte + b"b: 1"), fate)
    for name in (b"", b" ", b" x", b"x ", b"x\t", b"\tx", b"x y", b"\xc3\xa9", b"host ", b"Host\x00", b"x\r"):
        yield Case(f"name {name!r}", request(name + b": 1"), "refused")
    for framing in (b"content-length", b"transfer-encoding"):
        for ill in (
            framing + b" ",
            framing + b"\t",
            b" " + framing,
            framing + b"\x00",
            framing + b"\x0b",
            framing[:-1] + b"\xe9",
        ):
            yield Case(f"framing spelled {ill!r}", request(ill + b": chunked", body=BODY), "refused")
        for alias in (framing.replace(b"-", b"_"), b"x-" + framing, framing + b"-x", framing.replace(b"-", b"")):
            yield Case(f"framing like {alias!r}", request(alias + b": 4"), "served")


def _values() -> Iterator[Case]:
    for byte in (*range(0x00, 0x21), 0x22, 0x2C, 0x3A, 0x3B, 0x5C, 0x7F, 0x80, 0x85, 0xA0, 0xAD, 0xC3, 0xE9, 0xFF):
        fate = "refused" if (byte < 0x20 and byte != 9) or byte == 0x7F else "served"
        char = bytes([byte])
        yield Case(f"value with {char!r}", request(b"x-a: 1" + char + b"2"), fate)
        yield Case(f"value ends with {char!r}", request(b"x-a: 1" + char), "either" if byte in b"\r\n" else fate)
    for value in (
        b"",
        b" ",
        b"\t\t",
        b"  1  ",
        b"1\t ",
        b"y" * 9_000,
        b": ",
        b"a: b",
        b"\xef\xbb\xbf",
        b"%0d%0aa: b",
        b"\\r\\nx: y",
    ):
        yield Case(f"value {value[:9]!r}", request(b"x-a:" + value), "served")
    for end in (b"\n", b"\r", b"\r\r\n", b"\n\r", b"\x00\r\n", b"\x85", b"\xe2\x80\xa8", b"\x0b", b"\x0c"):
        yield Case(
            f"{end!r} ends a line",
            request(b"x-a: 1" + end + b"transfer-encoding: chunked"),
            "served" if end[0] > 0x7F else "refused",
        )
    for name in (b"content-type", b"x-session-id", b"accept", b"traceparent", b"authorization", b"user-agent"):
        data = framed(b"content-length: %d" % len(BODY), name + b": a\x01b", body=BODY)
        yield Case(f"control character in {name!r}", data, "refused")


def _targets() -> Iterator[Case]:
    path = CHAT.encode()
    for byte in (
        *range(0x00, 0x30),
        *range(0x3A, 0x41),
        *range(0x5B, 0x61),
        *range(0x7B, 0x82),
        0xA0,
        0xC3,
        0xE9,
        0xFF,
    ):
        char = bytes([byte])
        fate = "served" if 0x21 <= byte <= 0x7E else "refused"
        yield Case(f"query with {char!r}", request(line=b"POST %b?a%bb HTTP/1.1" % (path, char)), fate)
    for target in (
        b"http://evil/v1/chat/completions",
        b"http://u:p@evil:80/v1/chat/completions?x=1",
        b"https://evil/v1/chat/completions#f",
        b"/v1/chat/completions#f",
        b"/v1/chat/completions?a#f",
        b"/v1/chat/completions?a=%0d%0ax:%20y",
        b"/v1/chat/completions?" + b"y" * 5_000,
    ):
        yield Case(f"target {target[:30]!r}", request(line=b"POST %b HTTP/1.1" % target), "served")
    for target in (
        b"",
        b"*",
        b"?a",
        b"#",
        b"evil",
        b"evil:80",
        b"http://",
        b"http://evil",
        b"@evil/",
        b"/v1/chat/completions /x",
        b"/ /",
        b"http:/v1",
        b"//",
        b"/\\evil",
        b"http://[::1/x",
        b"x://y z/",
        b"/%00",
        b"/%2e%2e/x",
    ):
        yield Case(f"target {target!r}", request(line=b"POST %b HTTP/1.1" % target))
    for target in (
        b"/v1/chat/completions/",
        b"//v1/chat/completions",
        b"/v1//chat/completions",
        b"/v1/../v1/chat/completions",
        b"/v1/chat%2fcompletions",
        b"/V1/chat/completions",
        b"/v1/embeddings;x",
        b"/v1/embeddings%00",
        b"/v1/embeddings?\xc3\xa9",
    ):
        yield Case(f"path {target!r}", request(line=b"POST %b HTTP/1.1" % target))


def _lines() -> Iterator[Case]:
    path = CHAT.encode()
    for method in (b"GET", b"HEAD", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"):
        yield Case(f"method {method!r}", request(line=b"%b %b HTTP/1.1" % (method, b"/v1/embeddings")))
    for method in (
        b"CONNECT",
        b"TRACE",
        b"PRI",
        b"SOURCE",
        b"M-SEARCH",
        b"PROPFIND",
        b"LINK",
        b"DESCRIBE",
        b"SETUP",
        b"QUERY",
        b"post",
        b"PoST",
        b"GE T",
        b"G\x00T",
        b"POST\x00",
        b"",
        b"\tPOST",
        b"XPOST",
        b"POSTPOST",
    ):
        yield Case(f"method {method!r}", request(line=b"%b %b HTTP/1.1" % (method, path)), "refused")
    for version in (
        b"HTTP/0.9",
        b"HTTP/1.2",
        b"HTTP/2.0",
        b"HTTP/3.0",
        b"HTTP/1.10",
        b"HTTP/11",
        b"HTTP/1",
        b"HTTP/1.1.1",
        b"http/1.1",
        b"HTTP /1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.1 x",
        b"HTTP/1.1\t",
        b"",
        b"HTTP/-1.1",
        b"HTTP/1.1\x00",
        b"FTP/1.1",
        b"HTTPS/1.1",
    ):
        yield Case(f"version {version!r}", request(line=b"POST %b %b" % (path, version)), "refused")
    for version in (b"RTSP/1.0", b"ICE/1.0", b"HTTP/1.0"):
        yield Case(f"version {version!r}", request(line=b"POST %b %b" % (path, version)))
    yield from _odd_lines(path)


def _odd_lines(path: bytes) -> Iterator[Case]:
    for line in (
        b"POST\t%b HTTP/1.1",
        b"POST %b\tHTTP/1.1",
        b"POST %b\x0bHTTP/1.1",
        b"POST%b HTTP/1.1",
        b"POST %bHTTP/1.1",
        b"%b POST HTTP/1.1",
    ):
        yield Case(f"line {line!r}", request(line=line % path), "refused")
    for before in (b"\r\n", b"\n", b"\r\n\r\n", b" ", b"\x00", b"\xef\xbb\xbf", b"x: y\r\n", b"0\r\n\r\n"):
        yield Case(f"{before!r} before it", before + request())
    yield Case("no host", request().replace(b"host: x\r\n", b""), "refused")
    for hosts in (b"host: x\r\nhost: x", b"host: x\r\nHost: y", b"host: x\r\nHOST:"):
        yield Case(f"hosts {hosts!r}", request().replace(b"host: x", hosts), "refused")
    for host in (b"host: evil", b"host:", b"host: a b", b"host: x@y", b"host: x,y", b"host: \xe9"):
        yield Case(f"{host!r}", request().replace(b"host: x", host), "served")


def _repeated() -> Iterator[Case]:
    for name in (b"content-type", b"authorization", b"x-api-key"):
        value = AUTHORIZED.partition(b": ")[2] if name == b"authorization" else b"application/json"
        lines = [name.title() + b": " + value] * (2 if name == b"x-api-key" else 1)
        yield Case(f"{name!r} twice", request(*lines), "refused")
    for name in (
        b"cookie",
        b"accept",
        b"x-a",
        b"x-request-id",
        b"x-session-id",
        b"tracestate",
        b"x-warmroute-admin-key",
        b"forwarded",
        b"content-encoding",
        b"expect",
        b"te",
    ):
        yield Case(f"{name!r} twice", request(name + b": a", name.upper() + b": b"), "served")
    for value in (
        b"",
        b"a b",
        b"\xe9",
        b"\t",
        b"a\tb",
        b"y" * 129,
        b"y" * 9_000,
        b'"',
        b"%0d%0a",
        b"{}",
        b"a,b",
        b"\xff" * 200,
    ):
        yield Case(f"request id {value[:9]!r} {len(value)}", request(b"x-request-id: " + value), "served")
    for count, fate in ((100, "served"), (240, "served"), (300, "refused"), (3_000, "refused")):
        yield Case(f"{count} headers", request(*(b"x-%d: 1" % number for number in range(count))), fate)
        yield Case(f"{count} equal headers", request(*[b"x: 1"] * count), fate)
    yield Case("headers of 60 KB", request(b"x-a: " + b"y" * 60_000), "served")
    yield Case("headers of 70 KB", request(b"x-a: " + b"y" * 70_000), "refused")


def _folds() -> Iterator[Case]:
    for fold in (b"\r\n ", b"\r\n\t", b"\n ", b"\r\n\r\n ", b" \r\n  ", b"\r ", b"\r\n\x0b"):
        yield Case(f"fold {fold!r}", request(b"x-a: 1" + fold + b"2"), "refused")
        yield Case(f"framing folded by {fold!r}", request(b"transfer-encoding:" + fold + b"chunked"), "refused")
