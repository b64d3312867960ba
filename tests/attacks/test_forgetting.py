"""An engine whose hits do not come: no one client makes a worker's prefixes be forgotten, several do."""

from pathlib import Path

import httpx

from tests.engines import EngineThread
from tests.router.clients.files import table, write
from tests.router.http.site import CHAT
from tests.routers import MODEL, RunningRouter, chat, running_router

NAMES = ("a", "b", "c")
CONVERSATIONS = 4


async def turn(router: RunningRouter, name: str, number: int, text: str) -> None:
    body = chat(f"{name}{number} " + "says some words, " * 200 + text)
    answer = await router.client.post(CHAT, json=body, headers={"authorization": f"Bearer key-{name}"})
    assert answer.status_code == 200, answer.text
    await router.settles()


async def test_one_client_makes_nobody_forgotten_and_three_tell_a_lost_cache(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", *(table(name, f"key-{name}") for name in NAMES))
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url, keys_file=str(path)) as router:
            worker = next(iter(router.parts.fleet.workers.values()))
            forgotten: list[str] = []
            router.parts.fleet.on_forget.append(forgotten.append)
            for name in NAMES:
                for number in range(CONVERSATIONS):
                    await turn(router, name, number, "")
            httpx.post(f"{engine.url}/reset_prefix_cache").raise_for_status()
            for number in range(CONVERSATIONS):
                await turn(router, "a", number, "and goes on")
            assert (worker.cache_loss.misses_total, forgotten) == (CONVERSATIONS, [])
            await turn(router, "b", 0, "and goes on")
            assert not forgotten
            await turn(router, "c", 0, "and goes on")
            assert forgotten == [worker.holder]
