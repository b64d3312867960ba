"""A request's objects are freed when it ends. A router leaves the oldest generation of objects alone, so what only the
collector of cycles can free stays for ever once a long stream has carried it there."""

import gc

import pytest

from tests.engines import EngineThread
from tests.routers import MODEL, chat, running_router

OURS = ("router", "tokenizer_cache", "policies", "uvicorn.protocols")
OF_A_REQUEST = ("_asyncio.Task", "builtins.coroutine", "_contextvars.Context")
REQUESTS = 20


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_leaves_no_cycles(stream: bool) -> None:
    with EngineThread(model=MODEL, speed=1000.0) as engine:
        async with running_router(engine.url, health_interval_s=60.0, scrape_interval_s=60.0) as router:

            async def ask(count: int) -> None:
                for number in range(count):
                    body = chat(f"{stream} {number}", stream=stream)
                    assert (await router.client.post("/v1/chat/completions", json=body)).status_code == 200
                await router.settles()

            await ask(3)
            gc.collect()
            gc.disable()
            gc.set_debug(gc.DEBUG_SAVEALL)
            try:
                await ask(REQUESTS)
                gc.collect()
                kinds = [f"{type(left).__module__}.{type(left).__qualname__}" for left in gc.garbage]
            finally:
                gc.set_debug(0)
                gc.garbage.clear()
                gc.enable()
    assert [kind for kind in kinds if kind.startswith(OURS)] == []
    assert sum(kind in OF_A_REQUEST for kind in kinds) < REQUESTS
