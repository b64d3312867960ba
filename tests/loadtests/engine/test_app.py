"""Routes, keys and errors, on real sockets."""

from typing import Any

import httpx
import pytest

from tests.engines import EngineThread

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 2}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"[]", "JSON object"),
        (b'{"messages": "\xff"}', "not JSON"),
        (b'{"messages": ' + b"[" * 100_000, "not JSON"),
        (b'{"model": "m"}', "messages"),
        (b'{"model": "m", "messages": []}', "messages"),
        (b'{"model": "m", "messages": [1]}', "message"),
        (b'{"model": "m", "messages": [{"role": "user", "content": 1}]}', "content"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 0}', "max_tokens"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": "1"}', "max_tokens"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "n": 0}', "n must"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "stream_options": {}}', "Stream options"),
    ],
)
def test_bad_bodies_are_refused_as_vllm_does(client: httpx.Client, body: bytes, says: str) -> None:
    answer = client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert says in error["message"]
    assert (error["type"], error["code"]) == ("BadRequestError", 400)


def test_another_content_type_is_refused(client: httpx.Client) -> None:
    answer = client.post("/v1/chat/completions", content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 400


def test_an_unknown_model_is_not_found(client: httpx.Client) -> None:
    answer = client.post("/v1/chat/completions", json={**CHAT, "model": "other"})
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "The model `other` does not exist."


def test_a_prompt_that_is_too_long_is_refused(client: httpx.Client) -> None:
    answer = client.post("/v1/completions", json={"model": "m", "prompt": "x" * 600_000})
    assert answer.status_code == 400
    assert "maximum context length is 131072 tokens" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("PUT", "/v1/chat/completions", 405),
        ("GET", "/nothing", 404),
        ("POST", "/v1/nothing", 404),
        ("GET", "/ready", 404),
        ("GET", "/server_info", 404),
        ("GET", "/v1/responses/resp_none", 404),
        ("GET", "/emulator/nothing", 404),
        ("GET", "/health", 200),
        ("GET", "/version", 200),
        ("HEAD", "/health", 200),
    ],
)
def test_paths_and_methods(client: httpx.Client, method: str, path: str, status: int) -> None:
    body = b"{}" if method == "POST" else None
    answer = client.request(method, path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status


def test_messages_errors_have_anthropic_s_shape(client: httpx.Client) -> None:
    answer = client.post("/v1/messages", json={"model": "m", "messages": [], "max_tokens": 1})
    assert answer.status_code == 400
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_the_key_guards_what_vllm_guards() -> None:
    with EngineThread(model="m", api_key="secret") as engine, httpx.Client(base_url=engine.url) as client:
        refused = client.post("/v1/chat/completions", json=CHAT)
        assert (refused.status_code, refused.json()) == (401, {"error": "Unauthorized"})
        assert client.get("/v1/models").status_code == 401
        assert client.get("/metrics").status_code == 200
        assert client.post("/tokenize", json={"prompt": "abc"}).status_code == 200
        headers = {"authorization": "Bearer secret"}
        assert client.post("/v1/chat/completions", json=CHAT, headers=headers).status_code == 200


def test_sglang_has_a_surface_of_its_own() -> None:
    with EngineThread(model="m", kind="sglang") as engine, httpx.Client(base_url=engine.url) as client:
        assert client.get("/ready").status_code == 200
        assert client.get("/version").status_code == 404
        info = client.get("/server_info").json()
        assert (info["page_size"], info["max_total_num_tokens"]) == (16, 262_144)
        assert client.get("/v1/loads").json()["loads"][0]["num_running_reqs"] == 0
        refused = client.post("/v1/chat/completions", json={"messages": []})
        assert refused.status_code == 400
        assert refused.json()["object"] == "error"
        assert refused.json()["code"] == 400
        assert client.post("/v1/chat/completions", json={**CHAT, "model": "any"}).status_code == 200


def test_large_bodies_are_read_whole(engine: EngineThread, client: httpx.Client) -> None:
    body = {**CHAT, "messages": [{"role": "user", "content": "x" * 400_000}]}
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.json()["usage"]["prompt_tokens"] > 100_000
    assert engine.state()["last"]["body_bytes"] > 400_000


VALUES: list[Any] = [
    None,
    True,
    -1,
    65,
    1.5,
    "x",
    "",
    [],
    [1],
    ["x"],
    [[1], ["x"]],
    [None],
    {},
    {"a": 1},
    [{"a": 1}],
]
FIELDS = ("model", "messages", "prompt", "input", "max_tokens", "n", "stream", "stream_options", "tools", "system")
MORE_FIELDS = (
    "kv_transfer_params",
    "cache_salt",
    "request_id",
    "previous_response_id",
    "echo",
    "instructions",
    "store",
)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"])
def test_no_value_of_any_field_is_an_error_of_the_server(engine: EngineThread, client: httpx.Client, path: str) -> None:
    base = {**CHAT, "messages": [{"role": "user", "content": "call the tool"}], "prompt": "p", "input": "call the tool"}
    for name in (*FIELDS, *MORE_FIELDS):
        for value in VALUES:
            answer = client.post(path, json={**base, name: value})
            assert answer.status_code in (200, 400, 404), (name, value, answer.text)
    assert engine.state()["running"] == 0
