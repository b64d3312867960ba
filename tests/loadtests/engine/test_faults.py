"""Every fault, as a client meets it."""

from typing import Any

import httpx
import msgspec
import pytest

from loadtests.engine.faults import KINDS, NO_FAULT, Fault, Faults
from tests.engines import EngineThread

BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4, "stream": True}
PATH = "/v1/chat/completions"


def ask(client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post(PATH, json={**BODY, **more})


@pytest.mark.parametrize("status", [400, 429, 500, 502, 503, 504])
def test_a_status(engine: EngineThread, client: httpx.Client, status: int) -> None:
    engine.fault(f"status_{status}", count=2, retry_after="7")
    for _ in range(2):
        answer = ask(client)
        assert (answer.status_code, answer.headers["retry-after"]) == (status, "7")
        assert answer.json()["error"]["code"] == status
    assert ask(client).status_code == 200
    assert engine.state()["faults_struck"] == 2


@pytest.mark.parametrize("kind", ["reset", "reset_mid_stream"])
def test_a_reset(engine: EngineThread, client: httpx.Client, kind: str) -> None:
    engine.fault(kind, count=1)
    with pytest.raises(httpx.ReadError, match="reset by peer"):
        ask(client)


@pytest.mark.parametrize(("kind", "chunks", "whole"), [("close_mid_stream", 2, True), ("cut_frame", 2, False)])
def test_a_connection_closed_in_the_middle(
    engine: EngineThread, client: httpx.Client, kind: str, chunks: int, whole: bool
) -> None:
    engine.fault(kind, count=1, after_chunks=chunks)
    received = b""
    with client.stream("POST", PATH, json=BODY) as answer, pytest.raises(httpx.RemoteProtocolError):
        for data in answer.iter_raw():
            received += data
    assert received.count(b"\n\n") == chunks
    assert received.endswith(b"\n\n") == whole


@pytest.mark.parametrize("kind", ["hang_before", "hang_headers", "hang_after"])
async def test_hanging_until_the_client_leaves(engine: EngineThread, kind: str) -> None:
    engine.fault(kind, count=1)
    async with httpx.AsyncClient(base_url=engine.url, timeout=httpx.Timeout(5.0, read=0.3)) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(PATH, json=BODY)
    await engine.settles(departures=1, running=0, waiting=0)


def test_a_kept_connection_is_dropped_without_a_byte(engine: EngineThread, client: httpx.Client) -> None:
    engine.fault("drop_keepalive", count=1)
    assert ask(client).status_code == 200  # the first on its connection
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        ask(client)
    assert ask(client).status_code == 200


def test_an_error_event(engine: EngineThread, client: httpx.Client) -> None:
    engine.fault("error_event", count=1, after_chunks=2)
    frames = ask(client).text.split("\n\n")
    assert '"error"' in frames[2]
    assert frames[3:] == ["data: [DONE]", ""]


def test_headers(engine: EngineThread, client: httpx.Client) -> None:
    engine.fault("cookie", count=1)
    assert ask(client).headers["set-cookie"] == "tenant=one; Path=/"
    engine.fault("large_headers", count=1)
    assert len(ask(client).headers["x-large"]) == 32_768
    engine.fault("redirect", count=1)
    assert (ask(client).status_code, ask(client).status_code) == (307, 200)


@pytest.mark.parametrize("stream", [True, False])
def test_gzip(engine: EngineThread, client: httpx.Client, stream: bool) -> None:
    plain = ask(client, stream=stream)
    engine.fault("gzip", count=1)
    zipped = ask(client, stream=stream)
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.text.count("\n\n") == plain.text.count("\n\n")
    assert zipped.num_bytes_downloaded < len(zipped.content)


def test_comments_first(engine: EngineThread, client: httpx.Client) -> None:
    engine.fault("comments_first", count=1)
    assert ask(client).text.startswith(": keep-alive\n\n: keep-alive\n\ndata: ")


def test_slow_chunks_are_late(engine: EngineThread, client: httpx.Client) -> None:
    engine.fault("slow", count=1, delay_s=0.05)
    assert ask(client).elapsed.total_seconds() >= 0.2


def test_a_fault_strikes_its_path_until_it_is_taken_back(engine: EngineThread, client: httpx.Client) -> None:
    engine.fault("status_503", path="/health")
    assert [client.get("/health").status_code for _ in range(3)] == [503] * 3
    assert ask(client).status_code == 200
    engine.fault("none")
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("body", [b'{"kind": "unheard_of"}', b'{"kind": "status_200"}', b"{}", b"no"])
def test_an_unknown_fault_is_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/emulator/fault", content=body)
    assert answer.status_code == 400


def test_every_kind_can_be_asked_for_over_http() -> None:
    for kind in (*KINDS, "status_418"):
        assert msgspec.json.decode(msgspec.json.encode({"kind": kind}), type=Fault).kind == kind


def test_a_count_is_used_up_and_nothing_else_is_struck() -> None:
    faults = Faults()
    assert faults.take("/v1/x", False) is NO_FAULT
    faults.set(Fault("reset", count=1))
    assert faults.take("/metrics", False) is NO_FAULT
    assert faults.take("/v1/x", False).kind == "reset"
    assert faults.take("/v1/x", False) is NO_FAULT
    assert faults.struck == 1
