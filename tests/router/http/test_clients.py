"""Clients over real sockets: keys, limits, headers, models, salts, and the file that changes while the router runs."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from router.settings import Secret
from tests.engines import EngineThread
from tests.router.clients.files import table, write
from tests.router.http.site import CHAT, MESSAGES
from tests.routers import MODEL, RunningRouter, chat, running_router

A, B = {"authorization": "Bearer key-a"}, {"x-api-key": "key-b"}


@asynccontextmanager
async def site(tmp_path: Path, *tables: str, **settings: Any) -> AsyncIterator[tuple[RunningRouter, EngineThread]]:
    path = write(tmp_path / "keys", *tables)
    with EngineThread(model=MODEL, loras=("other",)) as engine:
        async with running_router(engine.url, keys_file=str(path), **settings) as router:
            yield router, engine


def sample(metrics: dict[str, float], name: str, **labels: str) -> float:
    wanted = {f'{key}="{value}"' for key, value in labels.items()}
    return sum(value for key, value in metrics.items() if key.startswith(name + "{") and all(w in key for w in wanted))


async def test_keys_of_file_and_settings_are_let_in_and_named(tmp_path: Path) -> None:
    log = (tmp_path / "log").open("w+b")
    keys = {"api_keys": (Secret("plain-key"),), "access_stream": log}
    async with site(tmp_path, table("a", "key-a"), table("b", "key-b"), **keys) as (router, engine):
        for headers in (A, B, {"authorization": "Bearer plain-key"}):
            answer = await router.client.post(CHAT, json=chat(), headers=headers)
            assert answer.status_code == 200, answer.text
            assert not {"authorization", "x-api-key"} & set(dict(engine.requests()[-1]["headers"]))
            assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
        for headers in ({}, {"authorization": "Bearer key-aa"}, {"x-api-key": "admin"}):
            refused = await router.client.post(CHAT, json=chat(), headers=headers)
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        await router.settles()
        metrics = await router.metrics()
        for label in ("a", "b", "default"):
            assert sample(metrics, "warmroute_client_requests_total", client=label, outcome="ok") == 1
            assert sample(metrics, "warmroute_client_prompt_tokens_total", client=label) > 0
            assert sample(metrics, "warmroute_client_completion_tokens_total", client=label) == 4
        assert sample(metrics, "warmroute_client_requests_total", client="", outcome="refused") == 3
    log.seek(0)
    lines = [json.loads(line) for line in log]
    assert [line.get("client", "") for line in lines] == ["a", "b", "default", "", "", ""]
    log.seek(0)
    assert b"key-" not in log.read()


async def test_requests_per_minute_with_headers_in_every_style(tmp_path: Path) -> None:
    limited = table("a", "key-a", more="requests_per_minute = 2")
    async with site(tmp_path, limited, table("b", "key-b")) as (router, _):
        first = await router.client.post(CHAT, json=chat(), headers=A)
        assert first.headers["x-ratelimit-limit-requests"] == "2"
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        assert first.headers["x-ratelimit-reset-requests"].startswith(("29", "30"))
        assert "x-ratelimit-limit-tokens" not in first.headers
        await router.client.post(CHAT, json=chat(stream=True), headers=A)
        refused = await router.client.post(CHAT, json=chat(), headers=A)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] in ("29", "30")
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        error = refused.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        anthropic = await router.client.post(
            MESSAGES, json={"model": MODEL, "max_tokens": 1, "messages": chat()["messages"]}, headers=A
        )
        assert (anthropic.status_code, anthropic.json()["error"]["type"]) == (429, "rate_limit_error")
        assert (await router.client.post(CHAT, json=chat(), headers=B)).status_code == 200
        await router.settles()
        metrics = await router.metrics()
        assert sample(metrics, "warmroute_client_refusals_total", client="a", reason="requests") == 2


async def test_uncached_tokens_are_charged_as_the_engine_reports_them(tmp_path: Path) -> None:
    limited = table("a", "key-a", more="uncached_tokens_per_minute = 1000")
    async with site(tmp_path, limited) as (router, _):
        prompt = "word " * 960  # 1,200 of the emulated engine's tokens and a few
        first = await router.client.post(CHAT, json=chat(prompt), headers=A)
        assert first.status_code == 200, "a prompt may be longer than what is left: it is owed"
        await router.settles()
        (client,) = router.parts.clients.all
        assert client.tokens is not None
        reported = first.json()["usage"]["prompt_tokens"]
        assert client.tokens.level == pytest.approx(1000 - reported, abs=50)
        refused = await router.client.post(CHAT, json=chat("hi"), headers=A)
        assert (refused.status_code, refused.headers["x-ratelimit-remaining-tokens"]) == (429, "0")
        assert 5 < int(refused.headers["retry-after"]) < 30
        client.tokens.take(client.tokens.level - 900)
        again = await router.client.post(CHAT, json=chat(prompt), headers=A)
        await router.settles()
        usage = again.json()["usage"]
        uncached = usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]
        assert uncached < 100
        assert client.tokens.level == pytest.approx(900 - uncached, abs=60)
        metrics = await router.metrics()
        assert sample(metrics, "warmroute_client_uncached_tokens_total", client="a") == reported + uncached


async def test_what_failed_is_not_charged(tmp_path: Path) -> None:
    limited = table("a", "key-a", more="uncached_tokens_per_minute = 1000")
    async with site(tmp_path, limited, max_attempts=1) as (router, engine):
        engine.fault("status_500", count=1)
        assert (await router.client.post(CHAT, json=chat("word " * 400), headers=A)).status_code == 500
        await router.settles()
        (client,) = router.parts.clients.all
        assert client.tokens is not None
        assert client.tokens.level == 1000


async def test_concurrency_is_given_back_on_every_path(tmp_path: Path) -> None:
    async with site(tmp_path, table("a", "key-a", more="max_concurrency = 1")) as (router, engine):
        engine.fault("slow", delay_s=0.3)
        slow = asyncio.create_task(router.client.post(CHAT, json=chat(), headers=A))
        (client,) = router.parts.clients.all
        while not client.in_flight:
            await asyncio.sleep(0.005)
        refused = await router.client.post(CHAT, json=chat(), headers=A)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert (await slow).status_code == 200
        engine.fault("none")
        await router.settles()
        for body in (chat(), {"model": "nope", "messages": []}, chat()):
            await router.client.post(CHAT, json=body, headers=A)
            assert client.in_flight == 0
        with pytest.raises(httpx.ReadTimeout):
            engine.fault("slow", delay_s=5)
            await router.client.post(CHAT, json=chat(), headers=A, timeout=0.1)
        await router.settles()
        assert client.in_flight == 0


async def test_models(tmp_path: Path) -> None:
    async with site(tmp_path, table("a", "key-a", more='models = ["other"]'), table("b", "key-b")) as (router, _):
        listed = [(await router.client.get("/v1/models", headers=headers)).json()["data"] for headers in (A, B)]
        assert [[card["id"] for card in cards] for cards in listed] == [["other"], [MODEL, "other"]]
        for model, status in (("other", 200), (MODEL, 403), ("absent", 403)):
            answer = await router.client.post(CHAT, json={**chat(), "model": model}, headers=A)
            assert answer.status_code == status
        assert answer.json()["error"]["code"] == "model_not_allowed"
        for path, body, status in (
            ("/v1/embeddings", {"model": "other", "input": "x"}, 200),
            ("/v1/embeddings", {"model": MODEL, "input": "x"}, 403),
            ("/tokenize", {"prompt": "x"}, 403),
        ):
            assert (await router.client.post(path, json=body, headers=A)).status_code == status, (path, body)


async def test_an_expired_key(tmp_path: Path) -> None:
    old, new = "expires = 2020-01-01", "expires = 2120-01-01T00:00:00Z"
    async with site(tmp_path, table("a", "key-a", more=old), table("b", "key-b", more=new)) as (router, _):
        refused = await router.client.post(CHAT, json=chat(), headers=A)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "expired_api_key")
        assert (await router.client.get("/v1/models", headers=A)).status_code == 401
        assert (await router.client.post(CHAT, json=chat(), headers=B)).status_code == 200


async def test_a_salt_keeps_prefixes_apart_in_index_and_engine(tmp_path: Path) -> None:
    salted = 'cache_salt = "own"'
    tables = table("a", "key-a", more=salted), table("b", "key-b"), table("c", "key-c", more=salted)
    c = {"authorization": "Bearer key-c"}
    async with site(tmp_path, *tables, decision_headers=True) as (router, _):

        async def cached(headers: dict[str, str], **more: Any) -> tuple[int, int]:
            """Predicted and real."""
            answer = await router.client.post(CHAT, json=chat("word " * 400, **more), headers=headers)
            await router.settles()
            real = answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"]
            return int(answer.headers["x-warmroute-cached-tokens"]), real

        assert await cached(B) == (0, 0)
        assert min(await cached(B)) > 300
        assert await cached(A) == (0, 0), "its own cache is empty, whatever others hold"
        assert min(await cached(A)) > 300
        assert min(await cached(c)) > 300, "the same salt in the file is the same cache"
        assert await cached(A, cache_salt="mine") == (0, 0)
        assert min(await cached(A, cache_salt="mine")) > 300
        assert await cached(B, cache_salt="own") == (0, 0), "the engine's salt is none that can be guessed"


async def test_a_changed_file_counts_within_seconds(tmp_path: Path) -> None:
    async with site(tmp_path, table("a", "key-a")) as (router, _):
        assert (await router.client.post(CHAT, json=chat(), headers=A)).status_code == 200
        write(tmp_path / "new", table("b", "key-b")).replace(tmp_path / "keys")
        async with asyncio.timeout(5):
            while (await router.client.get("/v1/models", headers=B)).status_code != 200:
                await asyncio.sleep(0.05)
        assert (await router.client.post(CHAT, json=chat(), headers=A)).status_code == 401
        metrics = await router.metrics()
        assert (metrics["warmroute_keys_file_reloads_total"], metrics["warmroute_keys_file_broken"]) == (1, 0)
