"""Sessions that do not fit into a worker's memory together, over real sockets."""

import asyncio
import io
import json
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from router.sessions.admission.model_demand import ModelDemand
from tests.engines import EngineThread, quick_profile
from tests.router.clients.files import table, write
from tests.router.http.site import CHAT, COMPLETIONS
from tests.routers import MODEL, RunningRouter, chat, running_router

WORDS = 1000
TURNS = 6
TIGHT = quick_profile(prefill_rate=8_000, kv_tokens=6_144, decode_s=0.001)
"""Five of the sessions below fit."""
SESSIONS = 8
ADMIN = {"x-warmroute-admin-key": "admin"}


async def session(router: RunningRouter, number: int) -> list[Any]:
    """Turns with no pause between them, each of which extends the one before."""
    messages, answers = [{"role": "user", "content": f"{number:04} " + "word " * WORDS}], []
    for _ in range(TURNS):
        answer = await router.client.post(CHAT, json={**chat(""), "messages": messages, "max_tokens": 4})
        answers.append(answer)
        if answer.status_code != 200:
            break
        said = answer.json()["choices"][0]["message"]["content"]
        messages += [{"role": "assistant", "content": said}, {"role": "user", "content": "go on"}]
    return answers


async def cached_share(**settings: Any) -> float:
    """The share of the prompt tokens that is cached, of all sessions at once."""
    with EngineThread(model=MODEL, profile=TIGHT) as engine:
        async with running_router(engine.url, **settings) as router:
            done = await asyncio.gather(*(session(router, number) for number in range(SESSIONS)))
            answers = [answer for one in done for answer in one]
            assert {answer.status_code for answer in answers} == {200}
            assert len(answers) == SESSIONS * TURNS
            await router.settles()
            assert len(router.parts.waiting_room) == 0
            assert not router.parts.admission.demand(MODEL).waiting
    usages = [answer.json()["usage"] for answer in answers]
    cached = sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in usages)
    return float(cached / sum(usage["prompt_tokens"] for usage in usages))


async def test_sessions_take_turns_instead_of_pushing_each_other_out() -> None:
    assert await cached_share(session_wait_s=0.0, saturation_wait_s=0.0) < 0.3
    assert (share := await cached_share(session_wait_s=30.0)) > 0.5, share


def asked_for(number: int) -> dict[str, Any]:
    return {**chat(f"{number:04} " + "word " * WORDS), "max_tokens": 4}


def slow_turns(router: RunningRouter, headers: Mapping[str, str] | None = None) -> list[asyncio.Task[Any]]:
    """A turn with a long answer of each session: together they do not fit."""
    return [
        asyncio.create_task(router.client.post(CHAT, json={**asked_for(number), "max_tokens": 2000}, headers=headers))
        for number in range(SESSIONS)
    ]


async def with_turns_waiting(router: RunningRouter) -> ModelDemand:
    """The model's demand, as soon as turns wait for memory."""
    demand = router.parts.admission.demand(MODEL)
    async with asyncio.timeout(20):
        while not demand.waiting:
            await asyncio.sleep(0.01)
    return demand


async def explained(router: RunningRouter, number: int) -> dict[str, Any]:
    answer = await router.client.post("/admin/explain", json=asked_for(number), headers=ADMIN)
    return dict(answer.json())


async def test_what_waits_is_told_in_metrics_log_headers_and_explain() -> None:
    log = io.BytesIO()
    changes: dict[str, Any] = {"session_wait_s": 30.0, "decision_headers": True, "access_stream": log}
    with EngineThread(model=MODEL, profile=TIGHT) as engine:
        async with running_router(engine.url, **changes) as router:
            await asyncio.gather(*(session(router, number) for number in range(SESSIONS)))
            last = await router.client.post(CHAT, json=asked_for(99))
            assert last.headers["x-warmroute-session"] == "new"
            told = await explained(router, 100)
            async with asyncio.timeout(20):
                while told["waits_for_memory"]:  # places are kept for the sessions' next turns, for some 0.5 s
                    assert not told["candidates"][0]["fits"]
                    await asyncio.sleep(0.05)
                    told = await explained(router, 100)
            metrics = await router.metrics()
            worker = next(iter(router.parts.fleet.workers))
            router.parts.access_log.flush()
    assert metrics['warmroute_queue_wait_seconds_count{client="anonymous",reason="memory"}'] > 0
    assert metrics[f'warmroute_session_room_tokens{{worker="{worker}"}}'] > 0
    assert metrics["warmroute_sessions_known"] >= SESSIONS
    (candidate,) = told["candidates"]
    assert (told["session"]["standing"], told["in_line"], told["waits_for_memory"]) == ("new", 0, False)
    assert candidate["session_room_tokens"] > candidate["session_tokens"]
    assert candidate["fits"]
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    turns = [line for line in lines if line["path"] == CHAT]
    assert {line["session"] for line in turns} <= {"new", "inside", "returned"}
    assert sum(line["session"] == "new" for line in turns) == SESSIONS + 1
    waited = [line for line in turns if line.get("queued_for") == "memory"]
    assert waited
    assert all(line["queued_ms"] > 0 for line in waited)
    assert any(line["session"] == "inside" and "queued_for" not in line for line in turns)


async def test_explain_says_that_a_turn_would_wait_and_where_it_does_not_fit() -> None:
    with EngineThread(model=MODEL, profile=TIGHT) as engine:
        async with running_router(engine.url, session_wait_s=30.0) as router:
            slow = slow_turns(router)
            await with_turns_waiting(router)
            told = await explained(router, 100)
            for task in slow:
                task.cancel()
    assert told["waits_for_memory"]
    assert told["in_line"] >= told["session"]["turns_waiting"] > 0
    assert not told["candidates"][0]["fits"]
    assert told["session"]["holds_back"]
    assert told["session"]["room_is_made_after_s"] > 0


async def test_a_new_session_that_is_refused_is_counted() -> None:
    with EngineThread(model=MODEL, profile=TIGHT) as engine:
        async with running_router(engine.url, session_wait_s=0.1) as router:
            answers = await asyncio.gather(
                *(router.client.post(CHAT, json=asked_for(number)) for number in range(3 * SESSIONS))
            )
            refused = [answer for answer in answers if answer.status_code == 503]
            metrics = await router.metrics()
    assert {answer.json()["error"]["code"] for answer in refused} == {"no_room"}
    assert metrics["warmroute_sessions_refused_total"] == len(refused) > 0


async def soon(asking: Coroutine[Any, Any, Any], waiting: list[asyncio.Task[Any]]) -> Any:
    """The answer, or None and one more that waits."""
    task = asyncio.create_task(asking)
    waiting.append(task)
    done, _ = await asyncio.wait({task}, timeout=0.2)
    return task.result() if done else None


async def test_a_crowd_of_one_client_has_nobody_else_refused(tmp_path: Path) -> None:
    keys = write(tmp_path / "keys", table("crowd", "key-a"), table("other", "key-b"))
    crowd, other = {"x-api-key": "key-a"}, {"x-api-key": "key-b"}
    with EngineThread(model=MODEL, profile=TIGHT) as engine:
        async with running_router(engine.url, session_wait_s=2.0, keys_file=str(keys)) as router:

            async def ask(number: int, headers: dict[str, str], most: int = 4) -> Any:
                return await router.client.post(CHAT, json={**asked_for(number), "max_tokens": most}, headers=headers)

            slow = [asyncio.create_task(ask(number, crowd, 2000)) for number in range(4 * SESSIONS)]
            await with_turns_waiting(router)
            async with asyncio.timeout(20):
                answer = None
                while answer is None:  # more of the crowd waits, until one is too many
                    answer = await soon(ask(100 + len(slow), crowd, 2000), slow)
            assert answer.json()["error"]["code"] == "no_room"
            demand = router.parts.admission.demand(MODEL)
            waiting = set(demand.waiting)
            patient = asyncio.create_task(ask(61, other))
            async with asyncio.timeout(20):
                while set(demand.waiting) <= waiting and not patient.done():
                    await asyncio.sleep(0.01)
            assert not patient.done() or patient.result().status_code == 200
            for task in (*slow, patient):
                task.cancel()
            await asyncio.gather(*slow, patient, return_exceptions=True)


async def test_what_a_client_calls_its_session_is_a_hint_and_told_to_nobody() -> None:
    log, name = io.BytesIO(), {"x-claude-code-session-id": "confidential-id"}
    opening = "system " * WORDS
    prompts = [opening + "a " * 200, opening + "a " * 200 + "b " * 200, opening + "summary"]
    with EngineThread(model=MODEL, profile=TIGHT) as engine:
        async with running_router(engine.url, decision_headers=True, access_stream=log) as router:
            told: dict[str, list[str]] = {}
            for whose, headers in (("named", name), ("nameless", {})):
                for prompt in prompts:
                    body = {"model": MODEL, "prompt": whose + prompt, "max_tokens": 2}
                    answer = await router.client.post(COMPLETIONS, json=body, headers=headers)
                    told.setdefault(whose, []).append(answer.headers["x-warmroute-session"])
            page = (await router.client.get("/metrics")).text
            router.parts.access_log.flush()
    known = {whose: [standing != "new" for standing in standings] for whose, standings in told.items()}
    assert known == {"named": [False, True, True], "nameless": [False, True, False]}
    assert "confidential" not in page + log.getvalue().decode()


async def test_a_subagent_of_a_known_session_is_not_refused_as_new() -> None:
    agent = {"x-claude-code-session-id": "s", "x-claude-code-agent-id": "g"}
    with EngineThread(model=MODEL, profile=TIGHT) as engine:
        async with running_router(engine.url, session_wait_s=0.1) as router:
            parent = await router.client.post(CHAT, json=asked_for(50), headers={"x-claude-code-session-id": "s"})
            assert parent.status_code == 200
            slow = slow_turns(router)
            demand = await with_turns_waiting(router)
            waiting = len(demand.waiting)
            assert (await router.client.post(CHAT, json=asked_for(60))).json()["error"]["code"] == "no_room"
            child = asyncio.create_task(router.client.post(CHAT, json=asked_for(61), headers=agent))
            async with asyncio.timeout(20):
                while len(demand.waiting) <= waiting and not child.done():
                    await asyncio.sleep(0.01)
            assert not child.done() or child.result().status_code == 200
            for task in (*slow, child):
                task.cancel()
            await asyncio.gather(*slow, child, return_exceptions=True)
