"""The worker set changes under load, in short: everything in this process, real sockets."""

import asyncio
import itertools
import random
import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, cast

from loadtests.drills.worker_set import NAME, Changes, Churn, table
from loadtests.harness.client import chat, steady
from loadtests.harness.name_server import NameServer
from loadtests.harness.results import End, Result, ends
from router.fleet.worker_names import worker_id
from router.settings import Secret
from tests.engines import EngineThread
from tests.routers import MODEL, running_router


async def test_no_request_fails_while_workers_come_and_go_by_file_dns_and_admin(tmp_path: Path) -> None:
    file = tmp_path / "workers.json"
    numbers = itertools.count()
    with ExitStack() as threads:
        engines = [threads.enter_context(EngineThread(model=MODEL)) for _ in range(6)]
        for engine in engines:
            engine.worker = worker_id(engine.url)  # type: ignore[attr-defined]
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(NameServer())
            found: dict[str, Any] = {"worker_file": str(file), "worker_dns": (f"http+srv://{NAME}",)}
            churn = Churn(cast(Any, engines), server, file, "")
            churn.name_first()
            router = await stack.enter_async_context(
                running_router(
                    ready=False, dns_server=server.address, discovery_interval_s=0.05, leave_s=0.2,
                    admin_api_key=Secret("x"), **found,
                )
            )  # fmt: skip
            async with asyncio.timeout(10):
                while not any(worker.available() for worker in router.parts.fleet.workers.values()):
                    await asyncio.sleep(0.01)
            churn.url = router.url
            changing = asyncio.create_task(churn.run())
            body = lambda: chat(MODEL, f"{next(numbers)} count on.", 4)  # noqa: E731
            results = await steady(router.port, 8, 0.1, time.perf_counter() + 4, body)
            assert not changing.done()
            changing.cancel()
            await router.settles()
    assert churn.changes.rounds >= 4
    assert {result.end for result in results} == {End.COMPLETE}, ends(results)


def test_draws_count_what_changed_and_keep_who_stays() -> None:
    changes = Changes(random.Random(1))
    for _ in range(20):
        assert "a" in changes.draw("file", ["a", "b"], ["a"])
    assert 2 <= changes.named["file"] <= 21


def test_every_end_but_a_complete_one_is_a_failure() -> None:
    good, bad = Result(1, 2, 3, End.COMPLETE, 200, "w"), Result(1, 2, 3, End.ERROR_EVENT, 200, "w")
    rows = {row[0]: row[1] for row in table([good, bad], Changes(random.Random(1)), 60, {}).rows}
    assert rows["failed, cut or hung"] == "1 (1 error event)"
