"""A running router whose workers come and go by file, by DNS and by the admin API at once."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from loadtests.harness.name_server import NameServer
from tests.engines import EngineThread
from tests.router.http.conftest import nothing_went_wrong_inside  # noqa: F401 - a fixture of every test here
from tests.router.http.site import CHAT
from tests.routers import MODEL, chat, running_router

KEY = {"x-warmroute-admin-key": "admin"}
SRV = "_http._tcp.vllm.test"


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not met():
            await asyncio.sleep(0.01)


async def test_workers_come_and_go_by_file_dns_and_admin(tmp_path: Path) -> None:
    path = tmp_path / "workers.json"

    def named(*urls: str) -> None:
        new = tmp_path / "new"
        new.write_text(json.dumps({"workers": urls}))
        new.replace(path)

    found = {"worker_file": str(path), "worker_dns": (f"http+srv://{SRV}",), "discovery_interval_s": 0.05}
    with EngineThread(model=MODEL) as one, EngineThread(model=MODEL) as two, EngineThread(model=MODEL) as three:
        named(one.url)
        async with (
            NameServer() as server,
            running_router(ready=False, dns_server=server.address, leave_s=0.0, **found) as router,  # type: ignore[arg-type]
        ):
            fleet = router.parts.fleet

            def serving() -> set[str]:
                return {worker.url for worker in fleet.workers.values() if worker.available()}

            await until(lambda: serving() == {one.url})
            server.set(SRV, "SRV", f"0 0 {two.port} two.test.")
            server.set("two.test", "A", "127.0.0.1")
            await router.client.post("/admin/workers", json={"url": three.url}, headers=KEY)
            await until(lambda: serving() == {one.url, two.url, three.url})
            named()
            await until(lambda: serving() == {two.url, three.url})
            assert (await router.client.post(CHAT, json=chat())).status_code == 200
            await until(lambda: len(fleet.workers) == 2)
            told = (await router.client.get("/admin/workers", headers=KEY)).json()["workers"]
            assert {worker["source"] for worker in told} == {f"dns:{SRV}", "admin"}
            page = await router.metrics()
            assert page[f'warmroute_discovered_workers{{source="dns:{SRV}"}}'] == 1
            assert page['warmroute_discovery_updates_total{result="good",source="file:workers.json"}'] == 2
