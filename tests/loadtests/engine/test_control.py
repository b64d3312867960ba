"""The emulator's own routes show what arrived, unchanged."""

import hashlib

import httpx

from tests.engines import EngineThread


def test_the_last_request_is_shown_as_it_arrived(engine: EngineThread, client: httpx.Client) -> None:
    body = b'{"model": "m",   "prompt": "spaces  kept", "max_tokens": 1}'
    headers = {"content-type": "application/json", "x-thing": "Value"}
    client.post("/v1/completions?a=%2F", content=body, headers=headers)
    last = engine.state()["last"]
    assert (last["method"], last["path"], last["query"]) == ("POST", "/v1/completions", "a=%2F")
    assert ["x-thing", "Value"] in last["headers"]
    assert last["body_sha256"] == hashlib.sha256(body).hexdigest()
    assert last["body_bytes"] == len(body)


def test_requests_are_counted_and_the_last_are_kept(engine: EngineThread, client: httpx.Client) -> None:
    for index in range(70):
        client.post("/tokenize", json={"prompt": str(index)})
    client.get("/v1/models")
    assert engine.state()["requests"] == 70
    kept = engine.requests()
    assert len(kept) == 64
    assert kept[-1]["nth_request"] == 70  # all on one kept connection


def test_refused_requests_count_too(engine: EngineThread, client: httpx.Client) -> None:
    client.post("/v1/chat/completions", content=b"x")
    assert engine.state()["requests"] == 1


def test_a_restart_may_change_memory_and_speed(engine: EngineThread, client: httpx.Client) -> None:
    before = engine.state()["blocks"]
    assert client.post("/emulator/restart", json={"kv_tokens": 6400, "speed": 2.0}).status_code == 200
    assert engine.state()["blocks"] == 6400 // 16 < before
    assert 'num_gpu_blocks="400"' in client.get("/metrics").text
    engine.restart()
    assert engine.state()["blocks"] == 400
    for wrong in ({"kv_tokens": 0}, {"speed": "fast"}, {"kv": 1}):
        assert client.post("/emulator/restart", json=wrong).status_code == 400
