"""Every wrong answer becomes one WorkerAnswerError with a short reason; none becomes a hang or another exception."""

import asyncio
import socket
import zlib

import httpx
import msgspec
import pytest

from router.engines import AnswerFault, WorkerAnswerError, control_client, fetch
from router.engines.answers import (
    INLINE_BYTES,
    MAX_ANSWER_BYTES,
    MAX_JSON_BYTES,
    fetch_json,
    fetch_models,
    fetch_samples,
)
from router.engines.prometheus_text import Wanted
from tests.router.fake_worker import Answer, FakeWorker, as_json, client, models


class _Shape(msgspec.Struct):
    data: list[int]


async def error_of(answer: Answer, timeout_s: float = 5.0) -> WorkerAnswerError:
    """What asking for JSON at this answer raises."""
    async with FakeWorker({"/x": answer}) as worker, client(timeout_s) as http:
        with pytest.raises(WorkerAnswerError) as raised:
            await fetch_json(http, worker.url, "/x?secret=1", _Shape)
    return raised.value


@pytest.mark.parametrize(
    ("answer", "fault", "reason"),
    [
        (Answer("{}", status=500), AnswerFault.STATUS, "/x: HTTP 500"),
        (Answer("", status=307, headers={"location": "/y"}), AnswerFault.STATUS, "/x: HTTP 307"),
        (Answer("", status=401), AnswerFault.STATUS, "/x: HTTP 401: the worker wants another API key"),
        (Answer("<html>oops</html>"), AnswerFault.CONTENT, "/x: not JSON"),
        (Answer(""), AnswerFault.CONTENT, "/x: not JSON"),
        (Answer(b"\xff\xfe{"), AnswerFault.CONTENT, "/x: not JSON"),
        (Answer('{"data": [1, 2'), AnswerFault.CONTENT, "/x: not JSON"),
        (Answer('{"x": ' + "[" * 100_000), AnswerFault.CONTENT, "/x: not JSON"),
        (as_json({"data": "x"}), AnswerFault.CONTENT, "/x: unexpected JSON: Expected `array`, got `str` - at `$.data`"),
        (as_json([1]), AnswerFault.CONTENT, "/x: unexpected JSON: Expected `object`, got `array`"),
        (as_json({}), AnswerFault.CONTENT, "/x: unexpected JSON: Object missing required field `data`"),
        (
            Answer(zlib.compress(b"{}"), headers={"content-encoding": "deflate"}),
            AnswerFault.CONTENT,
            "/x: compressed, although the request forbids it",
        ),
        (Answer('{"data": []}', declared_bytes=500), AnswerFault.NO_ANSWER, "/x: no answer (RemoteProtocolError)"),
        (Answer("{}", headers={"bad header": "x"}), AnswerFault.NO_ANSWER, "/x: no answer (RemoteProtocolError)"),
    ],
)
async def test_an_unusable_answer_has_a_fault_and_a_reason(answer: Answer, fault: AnswerFault, reason: str) -> None:
    error = await error_of(answer)
    assert error.fault is fault
    assert str(error).startswith(reason)
    assert error.status == (answer.status if fault is AnswerFault.STATUS else error.status)


async def test_a_server_that_says_nothing_is_left_in_time() -> None:
    error = await error_of(Answer(hang=True), timeout_s=0.05)
    assert (error.fault, str(error)) == (AnswerFault.NO_ANSWER, "/x: no answer in time")


async def test_the_limit_is_for_the_whole_answer() -> None:
    error = await error_of(Answer(b" " * 1000, drip_s=0.02), timeout_s=0.1)
    assert (error.fault, str(error)) == (AnswerFault.NO_ANSWER, "/x: no answer in time")


async def test_an_answer_without_end_is_cut_off() -> None:
    error = await error_of(Answer(b" " * (MAX_JSON_BYTES + 1)))
    assert (error.fault, str(error)) == (AnswerFault.CONTENT, f"/x: over {MAX_JSON_BYTES} bytes")
    async with FakeWorker({"/x": Answer(b" " * (MAX_ANSWER_BYTES + 1))}) as worker, client() as http:
        with pytest.raises(WorkerAnswerError, match=f"over {MAX_ANSWER_BYTES} bytes"):
            await fetch(http, worker.url, "/x")


async def test_not_http_at_all() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server, client() as http:
        with pytest.raises(WorkerAnswerError) as raised:
            await fetch(http, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "/x")
    assert raised.value.fault is AnswerFault.NO_ANSWER


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else can get the port
        async with client() as http:
            with pytest.raises(WorkerAnswerError, match=r"^connection refused$") as raised:
                await fetch(http, f"http://localhost:{taken.getsockname()[1]}", "/x")
    assert raised.value.fault is AnswerFault.REFUSED


@pytest.mark.parametrize("url", ["http://", "ftp://127.0.0.1", "http://[::1", "http://a..b", "http://127.0.0.1:99999"])
async def test_impossible_addresses(url: str) -> None:
    async with client() as http:
        with pytest.raises(WorkerAnswerError):
            await fetch(http, url, "/x")


async def test_the_key_goes_to_the_worker() -> None:
    async with FakeWorker({"/p/x": Answer("hello")}) as worker:
        async with control_client(5.0, api_key="secret") as http:
            assert await fetch(http, worker.url + "/p/", "/x") == b"hello"
        assert worker.authorizations == {"Bearer secret"}


async def test_no_cookie_is_kept() -> None:
    answer = Answer("hello", headers={"set-cookie": "of-this-worker=1; Path=/"})
    async with FakeWorker({"/x": answer}) as worker, control_client(5.0) as http:
        assert await fetch(http, worker.url, "/x") == b"hello"
        assert "cookie" not in http.build_request("GET", worker.url).headers
        assert len(http.cookies.jar) == 0


async def test_cancelling_is_not_an_answer() -> None:
    async with FakeWorker({"/x": Answer(hang=True)}) as worker, client() as http:
        task = asyncio.create_task(fetch(http, worker.url, "/x"))
        await worker.heard("/x")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_large_pages_are_read_too() -> None:
    text = "# filler\n" * (INLINE_BYTES // 8) + "a 1\n"
    async with FakeWorker({"/metrics": Answer(text)}) as worker, client() as http:
        (sample,) = await fetch_samples(http, worker.url, "/metrics", Wanted(["a"]))
    assert sample.value == 1.0


async def test_models_and_adapters() -> None:
    async with FakeWorker({"/v1/models": models("base", tuned="base")}) as worker, client() as http:
        answer = await fetch_models(http, worker.url)
    base, tuned = answer.cards
    assert (base.id, base.root, base.parent, base.max_model_len) == ("base", "org/base", "", 32768)
    assert (tuned.id, tuned.root, tuned.parent, tuned.max_model_len) == ("tuned", "/loras/tuned", "base", 0)
    assert answer.owners == {"vllm"}


@pytest.mark.parametrize(
    "answer",
    [
        as_json({"object": "list", "data": []}),
        as_json({"data": [{"id": ""}]}),
        as_json({"data": [{"id": None}]}),
        as_json({"data": [{"name": "x"}]}),
        as_json({"data": [{"id": "x", "max_model_len": "many"}]}),
        as_json({"models": []}),
    ],
)
async def test_lists_without_a_readable_model(answer: Answer) -> None:
    async with FakeWorker({"/v1/models": answer}) as worker, client() as http:
        with pytest.raises(WorkerAnswerError):
            await fetch_models(http, worker.url)


async def test_bare_cards_are_enough() -> None:
    async with FakeWorker({"/v1/models": as_json({"data": [{"id": "x"}]})}) as worker, client() as http:
        (card,) = (await fetch_models(http, worker.url)).cards
    assert (card.id, card.root, card.parent, card.max_model_len) == ("x", "x", "", 0)


def test_the_client_follows_no_proxy_and_no_redirect() -> None:
    http = control_client(3.0)
    assert not http.trust_env
    assert not http.follow_redirects
    assert http.timeout == httpx.Timeout(3.0)
