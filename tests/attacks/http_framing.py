"""Attacks on where a request ends and what its connection is: lengths, chunks, hops, traces, bodies."""

from collections.abc import Iterator

from tests.attacks.http_cases import BODY, KEY, SMUGGLED, TRACE, Case, chunked, framed, request
from tests.router.http.site import CHAT


def framing_cases() -> list[Case]:
    """The table."""
    groups = (_lengths, _codings, _chunks, _hops, _traces, _bodies)
    return [case for group in groups for case in group()]


def _lengths() -> Iterator[Case]:
    size = b"%d" % len(BODY)
    for value in (
        b"+" + size,
        b"-" + size,
        b"-1",
        b"0x" + size,
        size + b"_0",
        size + b"," + size,
        size + b", " + size,
        size + b";x",
        size + b".0",
        size + b" " + size,
        b"1e2",
        b"\xb2",
        b"",
        b" ",
        b"x",
        size + b"\x00",
        size + b"\x0b",
        b"\x0b" + size,
        b'"%b"' % size,
        b"9" * 40,
        b"18446744073709551617",
        b"1" + b"0" * 18,
    ):
        yield Case(f"length {value!r}", framed(b"content-length: " + value, body=BODY), "refused")
    for value in (b"0" + size, b"000000" + size, size + b" ", size + b"\t", b"\t" + size):
        yield Case(f"length {value!r}", framed(b"content-length: " + value, body=BODY), "served")
    for lines in ((size, size), (size, b"0"), (b"0", size), (size, b"x"), (size, b"")):
        pair = [b"content-length: " + value for value in lines]
        yield Case(f"lengths {lines!r}", framed(*pair, body=BODY), "refused")
        yield Case(f"lengths {lines!r} in other case", framed(pair[0], pair[1].title(), body=BODY), "refused")
    for size_ in (0, 1, len(BODY) - 1):
        yield Case(f"length {size_} too short", framed(b"content-length: %d" % size_, body=BODY))
    yield Case("the rest of a body is a request", framed(b"content-length: " + size, body=BODY + SMUGGLED))
    yield Case("a body that is a request", framed(b"content-length: %d" % len(SMUGGLED), body=SMUGGLED), "refused")
    yield Case("no length", framed(body=SMUGGLED))


def _codings() -> Iterator[Case]:
    size = b"content-length: %d" % len(BODY)
    for value in (b"chunked", b"Chunked", b"CHUNKED", b"chunked ", b"\tchunked", b" \t chunked"):
        yield Case(f"coding {value!r}", framed(b"transfer-encoding:" + value, body=chunked()), "served")
    for value in (
        b"gzip, chunked",
        b"chunked, gzip",
        b"chunked, chunked",
        b"identity",
        b"identity, chunked",
        b"chunked;q=1",
        b"chunked, identity",
        b"xchunked",
        b"chunkedx",
        b"chunke",
        b"chunked,",
        b",chunked",
        b'"chunked"',
        b"\x0bchunked",
        b"chunked\x00",
        b"\xe9chunked",
        b"",
        b"chunk ed",
        b"chunked\x0c",
        b"none",
        b"gzip",
        b"chunked\x85",
        b"br;chunked",
    ):
        yield Case(f"coding {value!r}", framed(b"transfer-encoding: " + value, body=chunked()), "refused")
        yield Case(f"coding {value!r} and length", framed(size, b"transfer-encoding: " + value, body=BODY), "refused")
        yield Case(
            f"length and coding {value!r}", framed(b"transfer-encoding: " + value, size, body=chunked()), "refused"
        )
    for pair in (
        (b"chunked", b"chunked"),
        (b"identity", b"chunked"),
        (b"chunked", b"identity"),
        (b"gzip", b"chunked"),
        (b"", b"chunked"),
        (b"chunked", b""),
    ):
        lines = [b"transfer-encoding: " + value for value in pair]
        yield Case(f"codings {pair!r}", framed(*lines, body=chunked()), "refused")
    yield Case(
        "chunked and length", framed(b"transfer-encoding: chunked", b"content-length: 4", body=chunked()), "refused"
    )
    yield Case(
        "chunked in HTTP/1.0",
        framed(b"transfer-encoding: chunked", body=chunked(), line=b"POST %b HTTP/1.0" % CHAT.encode()),
        "refused",
    )
    for alias in (b"transfer_encoding", b"transfer-encoding-x", b"x-transfer-encoding", b"transferencoding", b"te"):
        yield Case(f"{alias!r} beside a length", request(alias + b": chunked"), "served")


def _chunks() -> Iterator[Case]:
    size = b"%x" % len(BODY)
    head = b"transfer-encoding: chunked"
    for body in (
        size.upper() + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"000" + size + b"\r\n" + BODY + b"\r\n000\r\n\r\n",
        size + b";a=b\r\n" + BODY + b"\r\n0;c\r\n\r\n",
        size + b';a="b"\r\n' + BODY + b"\r\n0\r\n\r\n",
        chunked(BODY[:9]).replace(b"0\r\n\r\n", b"") + chunked(BODY[9:]),
        chunked(ending=b"0\r\nx-a: 1\r\n\r\n"),
        chunked(ending=b"0\r\nauthorization: Bearer other\r\nx-case: forged\r\n\r\n"),
    ):
        yield Case(f"chunks {body[:12]!r} {body[-24:]!r}", framed(head, body=body), "served")
    for body in (
        b"0x" + size + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"+" + size + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"-1\r\n" + BODY + b"\r\n0\r\n\r\n",
        b" " + size + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        size + b" \r\n" + BODY + b"\r\n0\r\n\r\n",
        size + b"\n" + BODY + b"\r\n0\r\n\r\n",
        size + b"\r" + BODY + b"\r\n0\r\n\r\n",
        size + b"\r\n" + BODY + b"\n0\r\n\r\n",
        size + b"\r\n" + BODY + b"0\r\n\r\n",
        size + b"\r\n" + BODY + b"\r\n0\n\n",
        size + b"\r\n" + BODY + b"xx\r\n0\r\n\r\n",
        b"f" * 17 + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"fffffffffffffff0\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        b";x\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"1_0\r\n" + BODY + b"\r\n0\r\n\r\n",
        size + b";a\nb\r\n" + BODY + b"\r\n0\r\n\r\n",
        size + b";\x00\r\n" + BODY + b"\r\n0\r\n\r\n",
        size + b",\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"g\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"\xef\xbc\x95\r\n" + BODY + b"\r\n0\r\n\r\n",
    ):
        yield Case(f"broken chunks {body[:9]!r} {body[-9:]!r}", framed(head, body=body), "refused")
    yield Case(
        "a request in a chunk extension",
        framed(head, body=size + b";" + SMUGGLED[:20].replace(b"\r\n", b"") + b"\r\n" + BODY + b"\r\n0\r\n\r\n"),
    )
    yield Case("a request behind the last chunk", framed(head, body=chunked() + SMUGGLED))
    trailers = chunked(ending=b"0\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\nhost: evil\r\n\r\n")
    yield Case("framing in trailers", framed(head, body=trailers))
    yield Case("no chunks", framed(head, body=b"0\r\n\r\n"), "refused")
    yield Case("an early end", framed(head, body=b"0\r\n\r\n" + chunked()), "refused")


def _hops() -> Iterator[Case]:
    for named in (
        b"close",
        b"keep-alive",
        b"x-a",
        b"content-length",
        b"transfer-encoding",
        b"host",
        b"authorization",
        b"x-request-id",
        b"content-type",
        b"traceparent",
        b"connection",
        b"close, x-a",
        b"x-a,,x-b",
        b",",
        b"",
        b"x-a;q=1",
        b"x-a x-b",
        b'"x-a"',
        b"te",
        b"x-case",
        b"\xe9",
        b"cookie",
        b"x-forwarded-for",
        b"content-length, transfer-encoding, host",
    ):
        yield Case(f"connection {named!r}", request(b"connection: " + named, b"x-a: 1"), "served")
    for name in (b"keep-alive", b"proxy-connection", b"te", b"trailer", b"proxy-authorization", b"proxy-authenticate"):
        yield Case(f"{name!r}", request(name + b": x-a", b"x-a: 1"), "served")
    for protocol in (b"h2c", b"foo/2", b"TLS/1.0", b"h2c, websocket", b""):
        lines = (b"connection: upgrade", b"upgrade: " + protocol)
        yield Case(f"upgrade {protocol!r}", request(*lines), "served")
        yield Case(f"upgrade {protocol!r} with a request behind it", request(*lines) + SMUGGLED)
        yield Case(
            f"upgrade {protocol!r} in chunks", framed(*lines, b"transfer-encoding: chunked", body=chunked()), "served"
        )
        yield Case(f"upgrade {protocol!r} without connection", request(lines[1]), "served")
    yield Case("upgrade websocket", request(b"connection: upgrade", b"upgrade: websocket"), "refused")
    yield Case(
        "http2-settings",
        request(b"connection: upgrade, http2-settings", b"upgrade: h2c", b"http2-settings: x"),
        "served",
    )
    for value in (b"100-continue", b"100-Continue", b"200-ok", b"", b"100-continue, x", b"\xe9"):
        yield Case(f"expect {value!r}", request(b"expect: " + value), "served")


def _traces() -> Iterator[Case]:
    own = b"traceparent: " + TRACE
    cut = (b"transfer-enc" + own, b"oding: chunked")
    for lines in (
        cut,
        (own, *cut),
        (*cut, own),
        (b"content-len" + own, b"gth: 3", own),
        (own, b"x-" + own),
        (b"x-" + own, own, own),
        (own, own),
        (own.replace(b"traceparent", b"Traceparent"), b"TRACEPARENT: x"),
        (b"traceparent:",),
        (b"traceparent:", b"a-traceparent:", b"b: 1"),
        (b"traceparent: x", b"x-y: traceparent: x"),
        (b"x-y: 1 traceparent: " + TRACE, own),
        (b"traceparent: " + TRACE + b"-more",),
        (b"traceparent: ff" + TRACE[2:],),
        (b"traceparent: " + TRACE.upper(),),
        (b"traceparent: \xe9" + TRACE,),
        (b"traceparent_x: 1", own),
        (b"tracestate: a=b", own),
        (b"connection: traceparent", own),
        (b"connection: x-traceparent", b"x-" + own, own),
    ):
        yield Case(f"trace {lines!r}", request(*lines), "served")


def _bodies() -> Iterator[Case]:
    for body in (
        b"",
        b"{}",
        b"{ }",
        b"[]",
        b"null",
        b"}",
        BODY + b"}",
        BODY[:-1],
        BODY + BODY,
        b"\xef\xbb\xbf" + BODY,
        BODY.decode().encode("utf-16"),
        BODY + b"\x00",
        b"{" * 2_000,
        BODY[:-1] + b',"x":"}',
    ):
        yield Case(f"body {body[:9]!r} {body[-9:]!r} {len(body)}", request(body=body), "refused")
    for body in (
        BODY + b" \r\n",
        b"\r\n" + BODY,
        BODY[:-1] + b',"x":"\\u0063ache_salt"}',
        BODY[:-1] + b',"cache_salt":"a","\\u0063ache_salt":"b"}',
        BODY[:-1] + b',"x":{"cache_salt":"}"}}',
        BODY[:-1] + b',"x":"' + SMUGGLED.replace(b"\r\n", b"\\r\\n") + b'"}',
        BODY[:-1] + b',"x":"' + b"y" * 100_000 + b'"}',
    ):
        yield Case(f"body ending {body[-20:]!r} {len(body)}", request(body=body), "served")
    good = request()
    yield Case("one", good, "served")
    for first in (b"{}", b"[", b"null", b"\xff"):
        yield Case(f"{first!r} and then a good one", request(body=first) + good)
    for path in (b"/v1/nothing", b"/smuggled", b"/flush_cache", b"/admin/workers", b"/v1/responses/resp_x"):
        yield Case(f"{path!r} and then a good one", request(line=b"POST %b HTTP/1.1" % path) + good)
    yield Case("three", good * 3)
    yield Case("a bad key between two", good + good.replace(KEY.encode(), b"bad") + good)
    yield Case("nothing but a line's end behind", good + b"\r\n")
    yield Case("garbage behind", good + b"\x16\x03\x01\x00")
