"""The routes and what they answer, over real sockets and emulated engines."""

import json
from typing import Any

import httpx
import pytest

from tests.engines import EngineThread
from tests.routers import MODEL, chat, running_router

KEY = {"x-warmroute-admin-key": "admin"}


async def test_chat_is_relayed_unchanged_and_counted() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url, decision_headers=True) as router:
            direct = httpx.post(engine.url + "/v1/chat/completions", json=chat("one")).json()
            answer = await router.client.post(
                "/v1/chat/completions", json=chat("one"), headers={"x-request-id": "mine"}
            )
            assert answer.status_code == 200
            assert answer.json()["choices"] == direct["choices"]
            assert answer.headers["x-request-id"] == "mine"
            assert answer.headers["x-warmroute-worker"].startswith("w-")
            assert dict(engine.requests()[-1]["headers"])["x-request-id"] == "mine"
            await router.settles()
            metrics = await router.metrics()
            name = 'warmroute_requests_total{endpoint="/v1/chat/completions",model="m",outcome="ok"'
            assert sum(value for key, value in metrics.items() if key.startswith(name)) == 1


async def test_a_stream_has_the_same_bytes_as_the_workers() -> None:
    body = chat("two", stream=True, stream_options={"include_usage": True}, max_tokens=12)
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router:
            direct = httpx.post(
                engine.url + "/v1/chat/completions", json=body, headers={"x-request-id": "same"}
            ).content
            through = await router.client.post("/v1/chat/completions", json=body, headers={"x-request-id": "same"})
            assert _without_times(through.content) == _without_times(direct)
            assert through.headers["content-type"].startswith("text/event-stream")


def _without_times(stream: bytes) -> list[object]:
    frames = [frame for frame in stream.split(b"\n\n") if frame]
    assert frames[-1] == b"data: [DONE]"
    events = [json.loads(frame.removeprefix(b"data: ")) for frame in frames[:-1]]
    for event in events:
        event.pop("created")
        if event.get("usage"):
            event["usage"].pop("prompt_tokens_details")
    return events


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": "abc"}),
        ("/v1/completions", {"prompt": ["abc", "def"]}),
        ("/v1/completions", {"prompt": [1, 2, 3]}),
        ("/v1/completions", {"prompt": [[1, 2], [3]]}),
        ("/v1/responses", {"input": "abc"}),
        ("/v1/messages", {"max_tokens": 4, "messages": [{"role": "user", "content": "abc"}]}),
        ("/v1/embeddings", {"input": "abc"}),
        ("/tokenize", {"prompt": "abc"}),
        ("/score", {"text_1": "a", "text_2": "b"}),
        ("/rerank", {"query": "a", "documents": ["b", "c"]}),
    ],
)
async def test_every_api_is_answered(path: str, body: dict[str, object]) -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router:
            answer = await router.client.post(path, json={"model": MODEL, "max_tokens": 4, **body})
            assert answer.status_code == 200, answer.text
            await router.settles()


async def test_pages() -> None:
    with EngineThread(model=MODEL, loras=("adapter",)) as engine:
        async with running_router(engine.url) as router:
            assert (await router.client.get("/health")).status_code == 200
            assert (await router.client.get("/ready")).json() == {"status": "ready", "healthy_workers": 1}
            (worker,) = router.parts.fleet.workers.values()
            worker.alarms = frozenset({"no_hits"})
            assert (await router.client.get("/ready")).json()["alarms"] == {"no_hits": 1}
            models = (await router.client.get("/v1/models")).json()["data"]
            assert {card["id"]: card["parent"] for card in models} == {"m": None, "adapter": "m"}
            adapter = await router.client.post("/v1/chat/completions", json={**chat(), "model": "adapter"})
            assert adapter.status_code == 200


async def test_not_ready_without_a_worker() -> None:
    async with running_router("http://127.0.0.1:9", ready=False) as router:
        assert (await router.client.get("/health")).status_code == 200
        assert (await router.client.get("/ready")).status_code == 503
        answer = await router.client.post("/v1/chat/completions", json=chat())
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"


async def test_errors_have_the_shape_of_the_api() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router:
            unknown = await router.client.post("/v1/chat/completions", json={**chat(), "model": "nope"})
            assert unknown.status_code == 404
            assert unknown.json()["error"]["code"] == "model_not_found"
            anthropic = await router.client.post("/v1/messages", json={"model": "nope", "messages": chat()["messages"]})
            assert anthropic.json() == {
                "type": "error",
                "error": {"type": "not_found_error", "message": "The model does not exist here. Served: m."},
            }
            socket = await router.client.get("/v1/realtime", headers={"connection": "upgrade", "upgrade": "websocket"})
            assert socket.status_code == 404  # the worker's own answer
            control = await router.client.post("/sleep")
            assert (control.status_code, control.json()["error"]["code"]) == (404, "path_not_found")


async def test_stored_responses_go_back_to_their_worker() -> None:
    with EngineThread(model=MODEL) as one, EngineThread(model=MODEL) as two:
        async with running_router(one.url, two.url, policy="round_robin", decision_headers=True) as router:
            for _ in range(4):
                made = await router.client.post("/v1/responses", json={"model": MODEL, "input": "abc"})
                worker = made.headers["x-warmroute-worker"]
                again = await router.client.get("/v1/responses/" + made.json()["id"])
                assert (again.status_code, again.headers["x-warmroute-worker"]) == (200, worker)
                follow = {"model": MODEL, "input": "go on", "previous_response_id": made.json()["id"]}
                followed = await router.client.post("/v1/responses", json=follow)
                assert followed.headers["x-warmroute-worker"] == worker
            unknown = await router.client.get("/v1/responses/resp_unknown")
            assert unknown.status_code == 404


async def test_each_rank_of_a_server_is_chosen_and_named_by_the_router_alone() -> None:
    with EngineThread(model=MODEL, ranks=4) as engine:
        async with running_router(engine.url, decision_headers=True) as router:
            ranks = {worker.id: worker.rank for worker in router.parts.fleet.workers.values()}
            assert sorted(ranks.values()) == [0, 1, 2, 3]
            homes = []
            for number in (*range(12), *range(12)):
                body = chat(f"{number} " + "It was the best of times. " * 200)
                theirs = {"x-data-parallel-rank": "3", "x_data_parallel_rank": "3"}
                answer = await router.client.post("/v1/chat/completions", json=body, headers=theirs)
                assert answer.status_code == 200
                homes.append(ranks[answer.headers["x-warmroute-worker"]])
                predicted = int(answer.headers["x-warmroute-cached-tokens"])
                cached = answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"]
                assert abs(predicted - cached) <= 64
                assert bool(cached) == (len(homes) > 12)
            sent = [dict(map(tuple, request["headers"])) for request in engine.requests()]
            assert [int(headers["x-data-parallel-rank"]) for headers in sent] == homes
            assert not any("x_data_parallel_rank" in headers for headers in sent)
            assert homes[:12] == homes[12:]
            assert len(set(homes)) > 1  # equal ranks are drawn by lot: one of four may be left out
            told = await router.client.get("/admin/workers", headers={"x-warmroute-admin-key": "admin"})
            assert [worker["name"] for worker in told.json()["workers"]] == [f"{engine.url} rank {n}" for n in range(4)]
            busy = list(ranks)[2]
            drained = await router.client.post(
                f"/admin/workers/{busy}/drain", headers={"x-warmroute-admin-key": "admin"}
            )
            assert drained.json()["rank"] == 0, "a server is drained as a whole"
            assert (await router.client.post("/v1/chat/completions", json=chat())).status_code == 503


async def test_a_server_of_one_rank_gets_no_rank() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router:
            asked = {"x-data-parallel-rank": "7"}
            answer = await router.client.post("/v1/chat/completions", json=chat(), headers=asked)
            assert answer.status_code == 200
            (request,) = engine.requests()
            assert "x-data-parallel-rank" not in dict(map(tuple, request["headers"]))


async def test_keys() -> None:
    from router.settings import Secret

    with EngineThread(model=MODEL, api_key="worker-key") as engine:
        keys: Any = {"api_keys": (Secret("client-key"),), "worker_api_key": Secret("worker-key")}
        async with running_router(engine.url, **keys) as router:
            assert (await router.client.post("/v1/chat/completions", json=chat())).status_code == 401
            assert (await router.client.get("/v1/models")).status_code == 401
            for headers in ({"authorization": "Bearer client-key"}, {"x-api-key": "client-key"}):
                answer = await router.client.post("/v1/chat/completions", json=chat(), headers=headers)
                assert answer.status_code == 200, answer.text
                seen = dict(engine.requests()[-1]["headers"])
                assert seen["authorization"] == "Bearer worker-key"
                assert "client-key" not in str(seen)
                assert "x-warmroute-worker" not in answer.headers
            told = await router.client.post(
                "/v1/chat/completions", json=chat(), headers={"authorization": "Bearer client-key", **KEY}
            )
            assert "x-warmroute-worker" in told.headers
            assert "admin" not in str(engine.requests()[-1]["headers"])


async def test_admin_adds_drains_and_removes() -> None:
    with EngineThread(model=MODEL) as one, EngineThread(model=MODEL) as two:
        async with running_router(one.url) as router:
            assert (await router.client.get("/admin/workers")).status_code == 401
            added = await router.client.post("/admin/workers", json={"url": two.url}, headers=KEY)
            assert added.status_code == 201
            again = await router.client.post("/admin/workers", json={"url": two.url}, headers=KEY)
            assert again.status_code == 409
            for url in (
                "file:///etc/passwd",
                "http://a:99999999",
                "http://[::1",
                "http://u:p@a:1",
                "http://a:1/v1",
                "",
            ):
                bad = await router.client.post("/admin/workers", json={"url": url}, headers=KEY)
                assert (bad.status_code, bad.json()["error"]["param"]) == (400, "url"), url
            first, second = (await router.client.get("/admin/workers", headers=KEY)).json()["workers"]
            drained = await router.client.post(f"/admin/workers/{first['id']}/drain?wait_s=5", headers=KEY)
            assert drained.json()["state"] == "draining"
            await _until_healthy(router, second["id"])
            before = one.state()["requests"]
            for _ in range(5):
                assert (await router.client.post("/v1/chat/completions", json=chat())).status_code == 200
            assert one.state()["requests"] == before
            removed = await router.client.delete(f"/admin/workers/{first['id']}", headers=KEY)
            assert removed.status_code == 200
            assert (await router.client.delete(f"/admin/workers/{first['id']}", headers=KEY)).status_code == 404


async def _until_healthy(router: object, worker_id: str) -> None:
    import asyncio

    async with asyncio.timeout(10):
        while not router.parts.fleet.get(worker_id).available():  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)
