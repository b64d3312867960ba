"""The command: it asks a router that runs, and says in one line why it cannot."""

import argparse
import asyncio
import io
from pathlib import Path

import httpx
import pytest

from router.status.top import NoStatusError, ask, run
from tests.engines import EngineThread
from tests.routers import MODEL, running_router


def options(url: str, key_file: str = "") -> argparse.Namespace:
    return argparse.Namespace(url=url, once=True, admin_api_key_file=key_file or None)


async def test_it_prints_the_status_once(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("admin\n")
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router:
            for given, environ in ((str(key), {}), ("", {"WARMROUTE_ADMIN_API_KEY": "admin"})):
                out = io.StringIO()
                assert await asyncio.to_thread(run, options(router.url, given), environ, out) == 0
                assert engine.url.removeprefix("http://") in out.getvalue()
                assert "\x1b" not in out.getvalue()


async def test_a_wrong_key_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router:
            environ = {"WARMROUTE_ADMIN_API_KEY": "wrong"}
            assert await asyncio.to_thread(run, options(router.url), environ, io.StringIO()) == 1
    assert "answers 401: Incorrect admin key provided." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(200, content=b"[]"), "is no Warmroute"),
        (httpx.Response(200, content=b"\xff"), "is no Warmroute"),
        (httpx.Response(502, content=b"<html>"), "answers 502: no reason given"),
        (httpx.Response(500, json={"error": {"message": "\x1b[2J\n"}}), r"answers 500: \\x1b\[2J\\n$"),
        (httpx.Response(404, json={"error": "no"}), "answers 404: no reason given"),
    ],
)
def test_what_is_no_status_is_no_status(answer: httpx.Response, said: str) -> None:
    client = httpx.Client(transport=httpx.MockTransport(lambda request: answer))
    with client, pytest.raises(NoStatusError, match=said):
        ask(client, "http://r")


def test_a_router_that_does_not_listen_and_a_key_that_cannot_be_sent() -> None:
    with httpx.Client() as client, pytest.raises(NoStatusError, match="does not answer"):
        ask(client, "http://127.0.0.1:9")
    assert run(options("http://127.0.0.1:9"), {"WARMROUTE_ADMIN_API_KEY": "é"}, io.StringIO()) == 1
    assert run(options("http://127.0.0.1:9", "/no/such"), {}, io.StringIO()) == 1
