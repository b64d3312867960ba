"""`POST /admin/explain`: the decision for a body, which is then neither sent nor remembered."""

from typing import Any

import pytest

from tests.engines import EngineThread
from tests.routers import MODEL, chat, running_router

KEY = {"x-warmroute-admin-key": "admin"}
CHAT, EXPLAIN = "/v1/chat/completions", "/admin/explain"
LONG = "explain me " * 200


async def test_explain_sends_nothing() -> None:
    with EngineThread(model=MODEL) as one, EngineThread(model=MODEL) as two:
        async with running_router(one.url, two.url) as router:
            before = one.state()["requests"] + two.state()["requests"]
            told = (await router.client.post("/admin/explain", json=chat("explain me " * 200), headers=KEY)).json()
            assert one.state()["requests"] + two.state()["requests"] == before
            assert {candidate["worker"] for candidate in told["candidates"]} == set(router.parts.fleet.workers)
            assert told["prompt_tokens"] > 100
            assert told["reason"]
            for candidate in told["candidates"]:
                assert candidate["cached_tokens"] + candidate["uncached_tokens"] == told["prompt_tokens"]
                assert candidate["cost"] > 0


async def test_it_says_what_the_request_then_gets_and_remembers_nothing() -> None:
    with EngineThread(model=MODEL) as one, EngineThread(model=MODEL) as two:
        async with running_router(one.url, two.url, decision_headers=True) as router:
            for cached in (False, True):
                before = await router.metrics()
                told = (await router.client.post(EXPLAIN, json=chat(LONG), headers=KEY)).json()
                after = await router.metrics()
                decisions = [name for name in after if name.startswith("warmroute_decisions_total")]
                assert [after[name] for name in decisions] == [before.get(name, 0.0) for name in decisions]
                home = next(each for each in told["candidates"] if each["worker"] == told["worker"])
                assert (home["cached_tokens"] > 0) is cached
                answer = await router.client.post(CHAT, json=chat(LONG))
                assert answer.headers["x-warmroute-reason"] == told["reason"]
                if cached:  # among equals that hold nothing, each draws anew
                    assert answer.headers["x-warmroute-worker"] == told["worker"]
                await router.settles()


@pytest.mark.parametrize(
    ("body", "status"),
    [(chat("hi") | {"model": "another"}, 404), (chat("hi") | {"messages": 3}, 400), ([], 400)],
)
async def test_it_refuses_as_the_request_itself_is_refused(body: Any, status: int) -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router:
            asked = await router.client.post(CHAT, json=body)
            told = await router.client.post(EXPLAIN, json=body, headers=KEY)
            assert (asked.status_code, told.status_code) == (status, status)
            assert told.json()["error"]["code"] == asked.json()["error"]["code"]


async def test_it_needs_the_admin_key() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router:
            assert (await router.client.post(EXPLAIN, json=chat(LONG))).status_code == 401
