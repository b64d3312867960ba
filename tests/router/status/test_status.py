"""The whole status, from a router that serves: what it says, who may read it, how large it may become."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from router.settings import Secret
from router.status.status import MOST_WORKERS
from router.status.workers import MOST_SESSIONS
from tests.engines import EngineThread, quick_profile
from tests.routers import MODEL, RunningRouter, chat, running_router

KEY = {"x-warmroute-admin-key": "admin"}
LONG = "A tale of two workers, told at length. " * 300
MOST_BYTES = 1 << 20


async def status_of(router: RunningRouter) -> dict[str, Any]:
    answer = await router.client.get("/admin/status", headers=KEY)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_it_tells_workers_sessions_decisions_and_prefixes() -> None:
    with EngineThread(model=MODEL) as one, EngineThread(model=MODEL) as two:
        async with running_router(one.url, two.url) as router:
            before = await status_of(router)
            assert (before["decisions"], before["waiting"], before["prefixes"]) == ([], [], [])
            for _ in range(2):
                await router.client.post("/v1/chat/completions", json=chat(LONG))
            await router.settles()
            told = await status_of(router)
    second, first = told["decisions"]
    assert first["predicted_cached_tokens"] == 0
    assert second["predicted_cached_tokens"] > 1000
    assert second["outcome"] == "ok"
    assert second["cached_tokens"] > 1000
    assert len(second["candidates"]) == 2
    home = next(worker for worker in told["workers"] if worker["id"] == second["worker"])
    assert home["hits"]["cached_tokens"] == told["totals"]["cached_tokens"] > 1000
    assert home["memory"]["indexed_tokens"] > 1000
    assert [session["state"] for session in home["memory"]["sessions"]] == ["pausing"]
    (prefix,) = told["prefixes"]
    assert prefix["holders"] == {second["worker"]: {"tokens": prefix["tokens"], "coming_tokens": 0}}
    assert told["totals"]["requests"] == 2
    assert told["sharing"]["redis"] is False
    assert "tale" not in json.dumps(told)


async def test_it_and_the_page_are_behind_the_admin_key() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router:
            assert (await router.client.get("/admin/status")).status_code == 401
            page = await router.client.get("/admin/ui")
            assert page.status_code == 200
            assert page.headers["content-security-policy"].startswith("default-src 'none'")
            assert (await router.client.get("/admin/ui/page.js")).headers["content-type"].startswith("text/javascript")
            assert (await router.client.get("/admin/ui/..%2fsite.py")).status_code == 404
        async with running_router(engine.url, admin_api_key=None) as router:
            for path in ("/admin/status", "/admin/ui", "/admin/ui/page.js"):
                assert (await router.client.get(path)).status_code == 403


async def test_open_status_shows_status_and_page_without_a_key_and_nothing_else() -> None:
    with EngineThread(model=MODEL) as engine:
        for key in (None, Secret("admin")):
            async with running_router(engine.url, admin_api_key=key, open_status=True) as router:
                assert (await router.client.get("/admin/status")).json()["workers"]
                assert b"<body data-open" in (await router.client.get("/admin/ui")).content
                for path in ("/admin/workers", "/admin/savings.csv"):
                    assert (await router.client.get(path)).status_code == (403 if key is None else 401)
                assert (await router.client.post("/admin/explain", json=chat())).status_code in (401, 403)
        async with running_router(engine.url) as router:
            assert b"data-open" not in (await router.client.get("/admin/ui")).content


async def test_however_many_ask_at_once_it_is_made_once() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url, open_status=True) as router:
            control: Any = router.parts.gateway._control
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=control), base_url=router.url) as client:
                answers = await asyncio.gather(*(client.get("/admin/status") for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["at"] for answer in answers}) <= 2


async def test_decisions_are_kept_only_while_somebody_watches() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router:
            await router.client.post("/v1/chat/completions", json=chat(LONG))
            assert (await status_of(router))["decisions"] == []


@pytest.mark.slow
async def test_its_size_is_bounded_whatever_the_fleet_s_is() -> None:
    with EngineThread(model=MODEL, profile=quick_profile(max_model_len=4096)) as engine:
        async with running_router(engine.url) as router:
            for number in range(3 * MOST_WORKERS):
                worker = router.parts.fleet.add(f"http://{'w' * 60}-{number}:8000")
                router.parts.fleet.on_unhealthy(worker.id, "x" * 5000)
            for number in range(2 * MOST_SESSIONS):
                await router.client.post("/v1/chat/completions", json=chat(f"{number} {LONG}", max_tokens=1))
            await router.settles(20.0)
            answer = await router.client.get("/admin/status", headers=KEY)
            told = answer.json()
            assert len(answer.content) < MOST_BYTES
            assert len(told["workers"]) == MOST_WORKERS
            assert told["workers_total"] == 3 * MOST_WORKERS + 1
            assert all(len(worker["reason"]) <= 200 for worker in told["workers"])
