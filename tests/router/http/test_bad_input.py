"""Bad input over real sockets: a clear 4xx in the API's own style, never a 5xx, never a hang, and nothing left behind.

Most is refused by the router. What only the worker can judge is forwarded, and its answer relayed: those cases say
`worker`. After each case the same router, and over its pool the same worker, answer a good request.
"""

import asyncio
import gzip
import json
import time
from typing import Any, NamedTuple

import pytest

from tests.router.http.raw import Wire, post, wire
from tests.router.http.site import (
    CHAT,
    COMPLETIONS,
    GOOD,
    HANG_S,
    MAX_BODY_BYTES,
    MESSAGES,
    RESPONSES,
    Answer,
    Site,
    read_answer,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
ADMIN = "x-warmroute-admin-key: admin"
LENGTH = len(json.dumps(GOOD[CHAT]))


class Case(NamedTuple):
    """What is sent, and the status it deserves. `by`: who gives the answer."""

    name: str
    data: bytes
    status: int = 400
    by: str = "router"
    style: str = "openai"


# The table ------------------------------------------------------------------------------------------------------------


def body(path: str, name: str, data: bytes, status: int = 400, by: str = "router") -> Case:
    """A well-formed POST of this body."""
    return Case(f"{path} {name}", post(path, data), status, by, "anthropic" if path == MESSAGES else "openai")


def changed(path: str, fields: dict[str, Any], status: int = 400, by: str = "router") -> Case:
    """A good request with other fields; `...` leaves one out."""
    kept = {name: value for name, value in (GOOD[path] | fields).items() if value is not ...}
    return body(path, f"{by} {json.dumps(fields, default=str)[:50]}", json.dumps(kept).encode(), status, by)


def wrong(path: str, field: str, *values: object, by: str = "router") -> list[Case]:
    """A good request with each of these values in one field."""
    return [changed(path, {field: value}, by=by) for value in values]


def inside(name: str, value: bytes, path: str = CHAT) -> bytes:
    """A good body with one more field, as it is written."""
    return json.dumps(GOOD[path]).encode()[:-1] + b',"' + name.encode() + b'":' + value + b"}"


def head(name: str, *lines: str, data: bytes | None = None, status: int = 400, by: str = "router") -> Case:
    """A good chat request with these header lines after its first ones."""
    start = [f"POST {CHAT} HTTP/1.1", "host: x", "content-type: application/json", *lines]
    rest = json.dumps(GOOD[CHAT]).encode() if data is None else data
    return Case(name, "\r\n".join(start).encode("latin-1") + b"\r\n\r\n" + rest, status, by)


def line(request_line: str, status: int = 404, by: str = "router") -> Case:
    """A request without a body."""
    style = "anthropic" if MESSAGES in request_line else "openai"
    return Case(request_line[:60], f"{request_line}\r\nhost: x\r\n\r\n".encode("latin-1"), status, by, style)


def chunked(name: str, data: bytes, status: int = 400, path: str = CHAT) -> Case:
    case = head(name, "transfer-encoding: chunked", data=data, status=status)
    style = "anthropic" if path == MESSAGES else "openai"
    return case._replace(data=case.data.replace(CHAT.encode(), path.encode(), 1), style=style)


def broken_json(path: str) -> list[Case]:
    """What is no JSON object at all, to one API."""
    good = json.dumps(GOOD[path]).encode()
    kinds = {
        "truncated": good[:-9],
        "trailing comma": good[:-1] + b",}",
        "NaN": inside("temperature", b"NaN", path),
        "Infinity": inside("temperature", b"-Infinity", path),
        "byte order mark": b"\xef\xbb\xbf" + good,
        "UTF-16": good.decode().encode("utf-16"),
        "single quotes": good.replace(b'"', b"'"),
        "two objects": good + good,
        "a control character": good.replace(b"hi", b"h\0i"),
        "array": b"[]",
        "string": b'"x"',
        "number": b"5",
        "null": b"null",
        "empty": b"",
        "white space": b" \r\n\t ",
        "invalid UTF-8": good.replace(b"hi", b"\xff\xfe"),
        "overlong UTF-8": good.replace(b"hi", b"\xc0\xaf"),
        "a raw surrogate": good.replace(b"hi", b"\xed\xa0\x80"),
        "an escaped lone surrogate": good.replace(b"hi", b"\\ud800"),
        "a lone surrogate in the model": good.replace(b'"m"', b'"\\udfff"'),
        "gzip": gzip.compress(good),
        "a form": b"model=m&prompt=hi",
        "nested too deep, unknown field": inside("x", b"[" * 100_000 + b"]" * 100_000, path),
        "nested too deep, tools": inside("tools", b'{"a":' * 60_000 + b"1" + b"}" * 60_000, path),
        "nested too deep, never closed": b'{"model":"m","messages":' + b"[" * 300_000,
    }
    return [body(path, name, data) for name, data in kinds.items()]


SCALARS: list[Any] = [5, {}, True]
WRONG_TYPES = [
    case
    for path in GOOD
    for case in (
        *wrong(path, "model", 5, None, "", {}, ["m"], ...),
        changed(path, {"model": "unknown"}, 404),
        *wrong(path, "stream", "yes", 1),
        *wrong(path, "stream_options", 5),
        body(path, "the first of two models", inside("model", b'"unknown"', path), 404),
        changed(path, {"max_tokens": "many", "max_output_tokens": "many"}, by="worker"),
        *wrong(path, "n", 10**9, by="worker"),
    )
] + [
    *wrong(CHAT, "messages", None, "x", {}, [], 5, ...),
    *wrong(MESSAGES, "messages", None, "x", {}, [], 5, ...),
    *wrong(CHAT, "messages", [5], [None], [[]], by="worker"),
    *wrong(MESSAGES, "messages", [5], [None], [[]], by="worker"),
    *(changed(CHAT, {"messages": [{"content": content}]}, by="worker") for content in SCALARS),
    body(CHAT, "deep messages", b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    *wrong(COMPLETIONS, "prompt", {}, [], [1, "a"], ["a", 1], [-1], [2**40], [1.5], [None], [True]),
    *wrong(COMPLETIONS, "prompt", None, 5, True, [[1], "a"], [[[1]]], ["a"] * 5000, ...),
    *wrong(COMPLETIONS, "prompt", [[]], [[], [1]], "", [""], by="worker"),
    body(COMPLETIONS, "a number out of range", inside("prompt", b"[1e999]", COMPLETIONS)),
    *wrong(RESPONSES, "input", None, 5, {}, True, ...),
    *wrong(RESPONSES, "input", [5], [], [None], by="worker"),
    *wrong(RESPONSES, "previous_response_id", 5, {}, ["resp_x"]),
    changed(RESPONSES, {"previous_response_id": "resp_unknown"}, 404, "worker"),
    body("/v1/embeddings", "broken", b"{"),
    body("/v1/embeddings", "array", b"[]"),
    body("/v1/embeddings", "model 5", b'{"model":5}'),
    body("/v1/embeddings", "too deep", b'{"input":' + b"[" * 100_000),
    body("/v1/embeddings", "unknown model", b'{"model":"unknown"}', 404),
    body("/v1/embeddings", "empty", b"", 400, "worker"),
    body("/v1/embeddings", "invalid UTF-8", b'{"model":"m","input":"\xff"}', 400, "worker"),
]

FRAMING = [
    head("content-length shorter", f"content-length: {LENGTH - 5}"),
    head("content-length longer", f"content-length: {LENGTH + 5}", status=408),
    *(head(f"content-length {value!r}", f"content-length: {value}") for value in ("-5", "abc", "+5", "5.0", "0x5", "")),
    head("content-length 10**23", f"content-length: {10**23}"),
    head("content-length twice", f"content-length: {LENGTH}", f"content-length: {LENGTH + 1}"),
    head("content-length list", f"content-length: {LENGTH}, {LENGTH}"),
    head("no content-length"),
    head("declared too large", f"content-length: {MAX_BODY_BYTES + 1}", status=413),
    body(CHAT, "too large", b" " * (MAX_BODY_BYTES + 1), 413),
    body(MESSAGES, "too large", b" " * (MAX_BODY_BYTES + 1), 413),
    chunked("chunked and too large", b"10000\r\n%s\r\n" % (b" " * 65536) * 8 + b"0\r\n\r\n", 413),
    head("both length and chunks", "content-length: 5", "transfer-encoding: chunked", data=b"0\r\n\r\n"),
    *(head(f"transfer-encoding {te}", f"transfer-encoding: {te}") for te in ("gzip", "identity", "chunked, gzip", "x")),
    *(chunked(f"chunk size {size!r}", size + b"\r\nabc\r\n0\r\n\r\n") for size in (b"zz", b"-3", b"", b"f" * 17)),
    chunked("bad chunk, Anthropic", b"zz\r\n", path=MESSAGES),
    chunked("a chunk longer than it says", b"3\r\nabcdef\r\n0\r\n\r\n"),
    chunked("a huge chunk that does not come", b"7fffffffffffffff\r\nabc", 408),
    chunked("no last chunk", b"3\r\nabc\r\n", 408),
    chunked("a length in the trailers", b"2\r\n{}\r\n0\r\ncontent-length: 3\r\n\r\n"),
    chunked("bare line feeds", b"2\n{}\n0\n\n"),
    Case("nothing but a line", b"GET /\r\n", 408),
    Case("never a header's end", b"GET / HTTP/1.1\r\nhost: x\r\nx-a: ", 408),
]

HEADERS = [
    *(
        head(f"header {text!r}", text, f"content-length: {LENGTH}")
        for text in ("x-a: a\0b", "x-a: a\rb", "x-a: a\nb: c", "x-a: a\r\n folded", "x-a : b", "x(a: b", "xa", ": b")
    ),
    *(head(f"value {text!r}", f"x-a: {text}", f"content-length: {LENGTH}") for text in ("a\x01b", "\x7f")),
    head("20,000 headers", *(f"x-{n}: y" for n in range(20_000)), status=431),
    head("one long header", "x-a: " + "y" * 70_000, status=431),
    head("an upgrade with a long header", "connection: upgrade", "upgrade: h2c", "x-a: " + "y" * 70_000, status=431),
    body(CHAT, "as text", b"hello"),
    Case("as text", post(CHAT, GOOD[CHAT]).replace(b"application/json", b"text/plain"), 400, "worker"),
    Case("gzip, and says so", post(CHAT, gzip.compress(b"{}"), "content-encoding: gzip")),
    Case(
        "multipart without a model",
        post("/v1/audio/transcriptions", b"--b--\r\n").replace(b"application/json", b"multipart/form-data; boundary=b"),
        404,
        "worker",
    ),
]

LINES = [
    *(line(f"{method} / HTTP/1.1", 400, "router") for method in ("FOO", "get", "", "G\0T")),
    line("CONNECT / HTTP/1.1", 405, "router"),
    *(line(f"GET {target} HTTP/1.1") for target in ("//", "//evil.example/x", "/@evil", "/\\evil", "http://evil/v1/x")),
    *(
        line(f"GET /v1/{target} HTTP/1.1")
        for target in ("%zz%2", "%ff%fe", "%00%0d%0a", "a" * 60_000, "x?" + "a" * 60_000)
    ),
    *(
        line(f"GET {target} HTTP/1.1", 400, "router")
        for target in ("*", "*@evil.example/x", "/\xc3\xa9", "/a b", "abc", "?")
    ),
    line("OPTIONS * HTTP/1.1", 400, "router"),
    line("GET http://evil.example HTTP/1.1", 400, "router"),
    line("CONNECT evil.example:443 HTTP/1.1", 400, "router"),
    line("GET /" + "a" * 70_000 + " HTTP/1.1", 431, "router"),
    line("GET / HTTP/3.1", 400, "router"),
    line("GET / HTTPS/1.1", 400, "router"),
    Case("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(30)),
    Case("TLS", bytes.fromhex("16030100a5010000a10303") + bytes(200)),
    *(line(f"{method} {path} HTTP/1.1", 405, "router") for path in GOOD for method in ("GET", "PUT", "DELETE")),
    *(
        line(f"{method} {path} HTTP/1.1", 405, "router")
        for path in ("/health", "/v1/models")
        for method in ("POST", "PUT")
    ),
    line("POST /sleep HTTP/1.1", 404, "router"),
    line("POST /%73leep/ HTTP/1.1", 404, "router"),
    line("GET /v1/responses/resp_%ff HTTP/1.1"),
    line("POST /admin/workers HTTP/1.1", 401, "router"),
    Case("admin: any number of bytes before a key", post("/admin/workers", b" " * (MAX_BODY_BYTES + 1)), 401),
    Case("admin: any number of bytes behind a key", post("/admin/workers", b" " * (MAX_BODY_BYTES + 1), ADMIN), 413),
    Case("admin: more than 64 KiB", post("/admin/workers", b"[" * (1 << 17), ADMIN), 413),
    *(
        Case(f"admin: {data[:20]!r}", post("/admin/workers", data, ADMIN))
        for data in (b"{", b"[]", b"[" * 60_000, b'{"url":"\xff"}', b'{"url":"http://a\\ud800"}', b'{"url":5}')
    ),
    Case("admin: explain", post("/admin/explain", b'{"model":5}', ADMIN)),
    Case("admin: explain what", post("/admin/explain?path=%ff", GOOD[CHAT], ADMIN)),
]
CASES = [*(case for path in GOOD for case in broken_json(path)), *WRONG_TYPES, *FRAMING, *HEADERS, *LINES]


# The checks -----------------------------------------------------------------------------------------------------------


def check_shape(answer: Answer, case: Case) -> None:
    """An error object of the API; a worker's is relayed as it is."""
    told = json.loads(answer.body)
    assert ("server" in answer.headers) == (case.by == "worker"), told
    if case.style == "anthropic":
        assert told["type"] == "error"
    assert told["error"]["message"]
    assert told["error"]["type"]
    if case.by == "router" and case.style == "openai":
        assert set(told["error"]) == {"message", "type", "param", "code"}


async def goes_on(client: Wire) -> None:
    """What follows on the same connection is answered, or the connection is closed: it is never out of step."""
    await client.send(post(CHAT, GOOD[CHAT]))
    rest = await client.reader.read(65536)
    assert not rest or rest.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400"))


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_bad_input_is_refused_clearly(site: Site, case: Case) -> None:
    async with wire(site.router.port) as client:
        await client.send(case.data)
        answer = await read_answer(client)
        assert answer.status == case.status, answer.body
        check_shape(answer, case)
        async with asyncio.timeout(HANG_S):
            await goes_on(client)
    await site.unharmed()


async def test_there_are_enough_cases() -> None:
    assert len(CASES) == len({(case.name, case.data) for case in CASES}) >= 80


@pytest.mark.parametrize(
    ("path", "data"),
    [
        (COMPLETIONS, b'{"model":"m","max_tokens":1,"prompt":[' + b" " * 100 + b'"hi"]}'),
        (COMPLETIONS, b'{"model":"m","max_tokens":1,"prompt":"\\ud83d\\ude00"}'),
        (CHAT, json.dumps(GOOD[CHAT] | {"x": json.loads("[" * 500 + "]" * 500)}).encode()),
        (CHAT, json.dumps(GOOD[CHAT] | {"unheard_of": 5, "tools": None, "stream": None}).encode()),
        (CHAT, b'{"model":"unknown",' + json.dumps(GOOD[CHAT]).encode()[1:]),
    ],
    ids=["white space", "surrogate pair", "500 levels", "unknown fields", "the last of two models"],
)
async def test_odd_but_right_input_is_served(site: Site, path: str, data: bytes) -> None:
    async with wire(site.router.port) as client:
        await client.send(post(path, data))
        answer = await read_answer(client)
        assert answer.status == 200, answer.body
    await site.unharmed()


async def test_header_bytes_are_the_workers_to_judge(site: Site) -> None:
    async with wire(site.router.port) as client:
        await client.send(post(CHAT, GOOD[CHAT]).replace(b"host: x\r\n", b"host: x\r\nx-a: \xff\xfe \xc3\xa9\r\n"))
        assert (await read_answer(client)).status == 200
    assert ["x-a", "\xff\xfe \xc3\xa9"] in site.engine.requests()[-1]["headers"]
    await site.unharmed()


async def test_many_headers_take_no_time(site: Site) -> None:
    hops = ",".join(f"{number:x}" for number in range(6_000))
    for count, status in ((240, 200), (3_000, 431)):
        lines = [f"{number:x}: y" for number in range(count)]
        async with wire(site.router.port) as client:
            started = time.monotonic()
            await client.send(post(CHAT, GOOD[CHAT], f"connection: {hops}", *lines))
            assert (await read_answer(client)).status == status
            assert time.monotonic() - started < 0.5
        assert len(site.engine.requests()[-1]["headers"]) < 10
        await site.unharmed()


async def test_looking_for_a_forms_model_takes_no_time(site: Site) -> None:
    lines = b'--b\r\ncontent-disposition: form-data; name="model"\r\n' * 6_000
    request = post("/v1/audio/transcriptions", lines).replace(b"application/json", b"multipart/form-data; boundary=b")
    async with wire(site.router.port) as client:
        started = time.monotonic()
        await client.send(request)
        answer = await read_answer(client)
        assert time.monotonic() - started < 0.5
        assert answer.status == 404
    await site.unharmed()


@pytest.mark.parametrize("padding", [0, 200_000], ids=["model first", "model last"])
async def test_a_forms_model_is_found_at_either_end(site: Site, padding: int) -> None:
    form = b'--b\r\ncontent-disposition: form-data; name="file"\r\n\r\n%s\r\n' % (b"x" * padding)
    form += b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nunknown\r\n--b--\r\n'
    request = post("/v1/audio/transcriptions", form).replace(b"application/json", b"multipart/form-data; boundary=b")
    async with wire(site.router.port) as client:
        await client.send(request)
        answer = await read_answer(client)
        assert json.loads(answer.body)["error"]["code"] == "model_not_found"
