"""One request and its answer, without a socket: what can still become an error, and what is only broken off."""

import json
from typing import Any

import pytest

from router.clients import Client, ClientSpec
from router.wire.errors import ApiError
from router.wire.exchange import Exchange
from tests.router.clients.clock import Clock
from tests.router.wire.test_writing import cycle_of

SORRY = ApiError(429, "sorry", "code", "field", retry_after_s=7)


def exchange(method: str = "POST", path: str = "/v1/chat/completions", query: bytes = b"") -> Any:
    cycle = cycle_of(method)
    cycle.transport.abort = lambda: setattr(cycle.transport, "closed", True)
    scope = {"method": method, "path": path, "query_string": query, "extensions": {}}
    return Exchange(scope, receive=None, cycle=cycle)  # type: ignore[arg-type]


def written(one: Any) -> bytes:
    return b"".join(one.cycle.transport.written)


def test_the_path_says_which_api_and_style_are_meant() -> None:
    one = exchange(query=b"a=1")
    assert (one.api, one.style, one.target) == ("chat", "openai", b"/v1/chat/completions?a=1")
    other = exchange("GET", "/v1/messages")
    assert (other.api, other.style, other.target) == ("", "anthropic", b"/v1/messages")


async def test_an_error_before_the_answer_is_an_answer() -> None:
    one = exchange()
    one.request_id = "id"
    one.client = Client(ClientSpec(label="team", hash="", requests_per_minute=60), bytes(16), Clock())
    await one.fail(SORRY)
    head, body = written(one).split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 ")
    for line in (
        b"x-request-id: id",
        b"retry-after: 7",
        b"x-ratelimit-limit-requests: 60",
        b"content-length: %d" % len(body),
    ):
        assert line in head.split(b"\r\n")
    assert json.loads(body)["error"]["message"] == "sorry"
    assert one.status == 429 and one.complete


@pytest.mark.parametrize(("path", "status"), [("/v1/messages", 529), ("/v1/responses", 503)])
async def test_a_refusal_for_lack_of_room_says_how_many_waited_before(path: str, status: int) -> None:
    one = exchange(path=path)
    await one.fail(ApiError(503, "sorry.", "no_room", retry_after_s=7).behind(12))
    head, body = written(one).split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status) and one.status == status
    assert {b"x-warmroute-in-line: 12", b"retry-after: 7"} <= set(head.split(b"\r\n"))
    assert json.loads(body)["error"]["message"] == "sorry. Requests in line before this one: 12."


async def test_a_head_has_no_body() -> None:
    one = exchange("HEAD")
    await one.fail(SORRY)
    assert written(one).endswith(b"\r\n\r\n")


async def test_the_head_waits_for_the_first_piece() -> None:
    one = exchange()
    one.start(200, [(b"content-length", b"4")])
    assert one.started and not one.head_is_out and written(one) == b""
    await one.body(b"ab", True)
    assert one.head_is_out and not one.complete
    await one.body(b"cd", False)
    assert written(one).endswith(b"\r\n\r\nabcd") and one.complete


@pytest.mark.parametrize(("said", "gap"), [(b"data: 1\n\n", b""), (b"data: 1", b"\n\n"), (b"", b"")])
async def test_a_stream_that_breaks_ends_with_an_event_behind_the_last_frame(said: bytes, gap: bytes) -> None:
    one = exchange()
    one.start(200, [])
    one.extensible = True
    one.answer.add(said)
    await one.fail(SORRY)
    chunk = written(one).split(b"\r\n\r\n", 1)[1].split(b"\r\n", 1)[1]
    assert chunk.startswith(gap + b"data: {")
    assert b"[DONE]" in chunk and one.complete
    assert not one.cycle.transport.closed


async def test_any_other_answer_that_breaks_is_cut() -> None:
    one = exchange()
    one.start(200, [(b"content-length", b"4")])
    await one.body(b"ab", True)
    await one.fail(SORRY)
    assert one.cycle.transport.closed and one.client_gone and not one.complete
    assert written(one).endswith(b"ab")


async def test_a_complete_answer_stays_as_it_is() -> None:
    one = exchange()
    one.start(200, [(b"content-length", b"2")])
    await one.body(b"ab", False)
    one.extensible = True
    before = written(one)
    await one.fail(SORRY)
    one.cut()
    assert written(one) == before and not one.cycle.transport.closed


async def test_nothing_is_written_to_a_client_that_has_left() -> None:
    one = exchange()
    one.cycle.disconnected = True
    one.start(200, [])
    await one.body(b"ab", False)
    assert written(one) == b""


async def test_a_slow_client_is_waited_for() -> None:
    one, waited = exchange(), []

    async def drain() -> None:
        waited.append(written(one))

    one.cycle.flow.write_paused, one.cycle.flow.drain = True, drain
    one.start(200, [(b"content-length", b"2")])
    await one.body(b"ab", False)
    assert waited == [b""]


def test_a_connection_that_became_a_session_is_no_answer_any_more() -> None:
    one = exchange("GET", "/v1/realtime")
    one.switch()
    assert (one.status, one.started, one.cycle.response_started, one.client_gone) == (101, True, True, True)
