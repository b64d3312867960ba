"""What a worker may write, and what its client may see of it: one whole answer, or a visible cut, and nothing more."""

from typing import NamedTuple

from tests.attacks.hostile_worker import STREAM, Script, chunk, chunked, json_head

BODY = b'{"x":1}'
OK = json_head(len(BODY)) + BODY
HEAD = b"HTTP/1.1 200 OK\r\n"
FRAME = b'data: {"x": 1}\n\n'
EVENTS = STREAM + chunk(FRAME)
UPPER = HEAD + b"content-length: 7\r\n"


class Case(NamedTuple):
    """One exchange."""

    script: Script
    statuses: tuple[int, ...] = (200,)
    whole: bool = True
    """False: its client sees that the answer was cut."""
    path: str = "/v1/chat/completions"
    has: bytes = b""
    """What its body has."""


def usages() -> dict[str, Case]:
    """Nothing that stands in `usage` costs its answer, or the next one, anything."""
    numbers = ["5", "-1", "0", "1.5", "1e3", "1e400", "true", "null", '"5"', "[]", "{}", "1" + "0" * 400, str(1 << 64)]
    names = ("prompt_tokens", "completion_tokens", "cached_tokens")
    said: dict[str, bytes] = {}
    for name in names:
        for number in numbers:
            values = {"prompt_tokens": "9", "completion_tokens": "1", "cached_tokens": "3", name: number}
            details = '{"cached_tokens":%s}' % values.pop("cached_tokens")  # noqa: UP031 - braces
            pairs = ",".join(f'"{key}":{value}' for key, value in values.items())
            said[f"{name} {number[:9]}"] = f'{{{pairs},"prompt_tokens_details":{details}}}'.encode()
    said |= {
        "deep lists": b'{"prompt_tokens":' + b"[" * 900 + b"]" * 900 + b"}",
        "deep objects": b'{"a":' * 300 + b"1" + b"}" * 300,
        "unclosed": b'{"a":' * 400,
        "not UTF-8": b'{"\xff":1,"prompt_tokens":1}',
        "a lone surrogate": b'{"\\ud800":1,"prompt_tokens":1}',
        "NaN": b'{"prompt_tokens":NaN}',
        "twice": b'{"prompt_tokens":1,"prompt_tokens":"2"}',
        "long": b'{"x":"' + b"y" * 100_000 + b'"}',
        "details of another type": b'{"prompt_tokens":1,"prompt_tokens_details":[[1]]}',
        "Anthropic's, huge": b'{"input_tokens":%d,"cache_read_input_tokens":%d}' % (1 << 62, 1 << 62),
        "itself over and over": b'{"usage":{' * 20_000,
    }
    cases = {}
    for name, value in said.items():
        body = b'{"usage":' + value + b"}"
        cases[f"usage, {name}"] = Case(Script((json_head(len(body)) + body,)), has=body)
        frame = b"data: " + body + b"\n\n"
        cases[f"usage in a stream, {name}"] = Case(Script((EVENTS + chunk(frame) + chunk(b""),)), has=frame)
    return cases


def ids() -> dict[str, Case]:
    """What stands where a response's id would."""
    odd = [b"resp_\xff", b"resp_" + b"x" * 5000, b"resp_a\\u0000", b"resp_a\x00", b"resp_\r\nset x", b"resp_*?[a]"]
    bodies = [b'{"id": "%b"}' % text for text in odd]
    return {
        f"response id {number}": Case(Script((json_head(len(body)) + body,)), path="/v1/responses", has=body)
        for number, body in enumerate(bodies)
    }


def heads() -> dict[str, Case]:
    """Heads that are none, or not clear: an error of the API's."""
    lines = {
        "a space before the colon": b"x : y",
        "a name with a space": b"x y: z",
        "a name with a bracket": b"x(y: z",
        "a name with a control character": b"x\x01: y",
        "a name beyond ASCII": b"x\xe4: y",
        "no name": b": y",
        "no colon": b"xy",
        "a folded line": b"x: y\r\n z",
        "a bare CR": b"x: y\rset-cookie: z",
        "a bare LF": b"x: y\nset-cookie: z",
        "a NUL": b"x: a\x00b",
        "a control character": b"x: a\x1bb",
        "a DEL": b"x: a\x7fb",
        "two lengths": b"content-length: 9",
        "the same length twice": b"content-length: 7",
        "a coding beside the length": b"transfer-encoding: chunked",
        "identity beside the length": b"transfer-encoding: identity",
        "257 headers": b"\r\n".join([b"x: y"] * 257),
        "a long header": b"x: " + b"y" * 70_000,
    }
    return {
        f"head, {name}": Case(Script((UPPER + line + b"\r\n\r\n" + BODY,), "close"), (502,))
        for name, line in lines.items()
    }


def framings() -> dict[str, Case]:
    """Where the body ends is not clear: an error of the API's."""
    framing = {
        "length with a sign": b"content-length: +7",
        "negative length": b"content-length: -7",
        "length in hex": b"content-length: 0x7",
        "list of lengths": b"content-length: 7, 7",
        "empty length": b"content-length:",
        "endless length": b"content-length: " + b"9" * 40,
        "gzip": b"transfer-encoding: gzip",
        "identity": b"transfer-encoding: identity",
        "gzip, chunked": b"transfer-encoding: gzip, chunked",
        "chunked, identity": b"transfer-encoding: chunked, identity",
        "chunked twice": b"transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "xchunked": b"transfer-encoding: xchunked",
    }
    return {
        f"framing, {name}": Case(Script((HEAD + line + b"\r\n\r\n" + chunked(BODY),), "close"), (502,))
        for name, line in framing.items()
    }


def first_lines() -> dict[str, Case]:
    """Another version, another status, another protocol."""
    firsts = (
        b"HTTP/2.0 200 OK",
        b"HTTP/0.9 200 OK",
        b"HTTP/1.1 99 OK",
        b"HTTP/1.1 600 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 +200 OK",
        b"HTTP/1.1 200OK",
        b"http/1.1 200 OK",
        b"ICY 200 OK",
        b"HTTP 200",
        b"HTTP/1.1 000 OK",
        b"HTTP/1.1 150 OK",
        b"HTTP/1.1 101 OK",
        b"POST / HTTP/1.1",
        b"\x16\x03\x01\x02\x00",
        b"",
        b"{}",
        b"HTTP/1.1  200 OK",
        b" HTTP/1.1 200 OK",
        b"PRI * HTTP/2.0",
    )
    return {
        f"first line {first!r}": Case(Script((first + b"\r\ncontent-length: 7\r\n\r\n" + BODY,), "close"), (502,))
        for first in firsts
    }


def announcements() -> dict[str, Case]:
    """1xx before, within, and after an answer."""
    early, go_on = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"
    return {
        "one 100": Case(Script((go_on + OK,)), has=BODY),
        "one 102": Case(Script((b"HTTP/1.1 102 Processing\r\n\r\n" + OK,)), has=BODY),
        "several 103": Case(Script((early * 9, OK)), has=BODY),
        "103 in pieces": Case(Script((early[:9], early[9:] + OK[:5], OK[5:])), has=BODY),
        "100 with a length": Case(Script((b"HTTP/1.1 100 Continue\r\ncontent-length: 0\r\n\r\n" + OK,)), has=BODY),
        "103 and the end": Case(Script((early,), "close"), (502,)),
        "103 and nothing": Case(Script((early,), "hang"), (504,)),
        "103 after the answer": Case(Script((OK + early,)), has=BODY),
        "101": Case(Script((b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n" + OK,)), (502,)),
        "a 1xx that nobody knows": Case(Script((b"HTTP/1.1 199 X\r\n\r\n" + OK,), "close"), (502,)),
    }


def odd_but_whole() -> dict[str, Case]:
    """Answers that are relayed, and connections that must not be used again where bytes follow."""
    gone = {
        "a second answer": OK + OK,
        "half a second answer": OK + OK[:20],
        "garbage behind": OK + b"garbage\r\n\r\n",
        "more than the length": OK + b"}" * 1000,
        "a stream and garbage": EVENTS + chunk(b"") + b"data: more\n\n",
        "a stream and a second end": EVENTS + chunk(b"") + chunk(b""),
        "a stream and an answer": EVENTS + chunk(b"") + OK,
        "204 with a body": b"HTTP/1.1 204 No Content\r\n\r\n" + BODY,
        "204 with a length": b"HTTP/1.1 204 No Content\r\ncontent-length: 7\r\n\r\n" + BODY,
        "204 with chunks": b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n" + chunked(BODY),
        "304 with a body": b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n" + BODY,
        "205 with a body": b"HTTP/1.1 205 Reset\r\ncontent-length: 7\r\n\r\n" + BODY,
    }
    cases = {name: Case(Script((data,)), (200, 204, 205, 304)) for name, data in gone.items()}
    cases |= {
        f"{name}, later": Case(Script((data[:-7], data[-7:])), (200, 204, 205, 304)) for name, data in gone.items()
    }
    plain = {
        "HTTP/1.0, closed": Script((b"HTTP/1.0 200 OK\r\n\r\n" + BODY,), "close"),
        "HTTP/1.0, kept": Script((b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 7\r\n\r\n" + BODY,)),
        "HTTP/1.0, chunked": Script(
            (b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunked(BODY),), "close"
        ),
        "until the end": Script((HEAD + b"\r\n" + BODY,), "close"),
        "no reason": Script((b"HTTP/1.1 200\r\ncontent-length: 7\r\n\r\n" + BODY,)),
        "a NUL in the reason": Script((b"HTTP/1.1 200 O\x00K\r\ncontent-length: 7\r\n\r\n" + BODY,)),
        "empty lines before": Script((b"\r\n\r\n" + OK,)),
        "byte by byte": Script(tuple(OK[at : at + 1] for at in range(len(OK)))),
        "a status that nobody knows": Script((b"HTTP/1.1 299 X\r\ncontent-length: 7\r\n\r\n" + BODY,)),
        "trailers": Script((STREAM + chunk(BODY) + b"0\r\nx-a: b\r\ncontent-length: 9\r\n\r\n",)),
        "trailers that pose as framing": Script((STREAM + chunk(BODY) + b"0\r\nset-cookie: a=b\r\nx: y\r\n\r\n",)),
        "chunk extensions": Script((STREAM + b'7;a=b;c="d"\r\n' + BODY + b"\r\n0;e\r\n\r\n",)),
        "leading zeros": Script((STREAM + b"0007\r\n" + BODY + b"\r\n000\r\n\r\n",)),
        "answered early": Script((OK,), "close", early=True),
        "cookies": Script((HEAD + b"set-cookie: a=b\r\nset-cookie: c=d\r\ncontent-length: 7\r\n\r\n" + BODY,)),
        "hop-by-hop headers": Script(
            (UPPER + b"connection: x-hop, close\r\nx-hop: 1\r\nkeep-alive: 9\r\n\r\n" + BODY,), "close"
        ),
        "a length that is hop-by-hop": Script((UPPER + b"connection: content-length\r\n\r\n" + BODY,)),
        "latin-1": Script((UPPER + b"x: \xe4\r\n\r\n" + BODY,)),
        "headers in upper case": Script((b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 7\r\nX: Y\r\n\r\n" + BODY,)),
        "256 headers": Script((UPPER + b"x: y\r\n" * 255 + b"\r\n" + BODY,)),
    }
    return cases | {name: Case(script, (200, 299), has=BODY) for name, script in plain.items()}


def broken() -> dict[str, Case]:
    """Answers that break off: an error event in a stream, else a visible cut; an error where nothing had gone out."""
    bad = {
        "no hex": b"zz\r\n",
        "too much": b"f" * 20 + b"\r\n",
        "a bare LF": b"1\nx\n",
        "a sign": b"-1\r\n",
        "0x": b"0x1\r\nx\r\n",
    }
    cases = {f"chunk, {name}": Case(Script((EVENTS, data), "close"), has=b'"api_error"') for name, data in bad.items()}
    ends = {"closed": "close", "reset": "reset", "silent": "hang"}
    for name, then in ends.items():
        cases |= {
            f"stream, {name}": Case(Script((EVENTS,), then), has=b'"api_error"'),
            f"stream within a chunk, {name}": Case(Script((EVENTS, b"ff\r\ndata: "), then), has=b'"api_error"'),
            f"trailers, {name}": Case(Script((EVENTS, b"0\r\nx: y\r\n"), then), has=b'"api_error"'),
            f"a length, {name}": Case(Script((UPPER + b"\r\n{", b'"'), then), whole=False),
            f"JSON in chunks, {name}": Case(
                Script((HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunk(b"{"), b""), then), whole=False
            ),
            f"a head, {name}": Case(Script((UPPER,), then), (502, 504)),
            f"no byte, {name}": Case(Script((), then), (502, 504)),
            f"an empty stream, {name}": Case(Script((STREAM,), then), (502, 504)),
            f"keep-alives alone, {name}": Case(Script((STREAM, chunk(b": keep-alive\n\n") * 3), then), (502, 504)),
        }
    return cases


def floods() -> dict[str, Case]:
    """Without an end: cut off after little, and nothing of it is kept."""
    line = b"x-flood: " + b"y" * 1000 + b"\r\n"
    hints = b"HTTP/1.1 103 Early Hints\r\n" + line + b"\r\n"
    return {
        "trailers": Case(Script((EVENTS, b"0\r\n"), "hang", line * 64), has=b'"api_error"'),
        "one trailer": Case(Script((EVENTS, b"0\r\nx: "), "hang", b"y" * 65536), has=b'"api_error"'),
        "small trailers": Case(Script((EVENTS, b"0\r\n"), "hang", b"a:b\r\n" * 10_000), has=b'"api_error"'),
        "a chunk's extension": Case(Script((EVENTS, b"1;x="), "hang", b"y" * 65536), has=b'"api_error"'),
        "100": Case(Script((), "hang", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000), (502,)),
        "103": Case(Script((), "hang", hints * 64), (502,)),
        "headers": Case(Script((HEAD,), "hang", line * 64), (502,)),
        "small headers": Case(Script((HEAD,), "hang", b"a:b\r\n" * 10_000), (502,)),
        "one header": Case(Script((HEAD + b"x: ",), "hang", b"y" * 65536), (502,)),
        "a reason": Case(Script((b"HTTP/1.1 200 ",), "hang", b"y" * 65536), (502,)),
        "empty lines": Case(Script((), "hang", b"\r\n" * 30_000), (502,)),
        "bytes behind the end": Case(Script((OK,), "hang", b"y" * 65536), has=BODY),
        "answers behind the end": Case(Script((OK,), "hang", OK * 1000), has=BODY),
    }


CASES = {
    **usages(), **ids(), **heads(), **framings(), **first_lines(), **announcements(), **odd_but_whole(), **broken(),
    **{f"flood, {name}": case for name, case in floods().items()},
}  # fmt: skip
