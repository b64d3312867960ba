"""Routers behind a balancer: restarted under load, and left alone while they are not ready."""

import asyncio

import httpx
import pytest

from loadtests.drills.restarts import Restarts, run, run_haproxy, table
from loadtests.harness.balancer import Balancer
from loadtests.harness.haproxy import Haproxy, installed
from loadtests.harness.results import End, Result
from tests.router.fake_worker import Answer, FakeWorker


@pytest.mark.timeout(180)
async def test_no_request_fails_while_routers_are_restarted() -> None:
    (measured,) = await run(last_s=3.0, streams=6)
    rows = {row[0]: row[1] for row in measured.rows}
    assert rows["failed, cut or hung"] == "0"
    assert rows["exit codes"] == "0"
    assert rows["left over at the end"] == "0"
    assert int(rows["restarts"]) >= 1


BALANCERS = [
    Balancer,
    pytest.param(Haproxy, marks=pytest.mark.skipif(not installed(), reason="no haproxy")),
]


@pytest.mark.parametrize("make_balancer", BALANCERS)
async def test_new_connections_go_to_routers_that_are_ready(make_balancer: type[Balancer | Haproxy]) -> None:
    routes = {"/ready": Answer(), "/who": Answer("one")}, {"/ready": Answer(), "/who": Answer("two")}
    async with FakeWorker(routes[0]) as one, FakeWorker(routes[1]) as two:
        ports = [int(router.url.rpartition(":")[2]) for router in (one, two)]
        async with make_balancer(ports) as balancer, httpx.AsyncClient() as client:

            async def answers() -> set[str]:
                url = f"http://127.0.0.1:{balancer.port}/who"
                close = {"connection": "close"}
                return {(await client.get(url, headers=close)).text for _ in range(4)}

            async def up(*wanted: int) -> None:
                async with asyncio.timeout(15):
                    while balancer.up != set(wanted):
                        await asyncio.sleep(0.02)

            await up(*ports)
            assert await answers() == {"one", "two"}
            one.routes["/ready"] = Answer(status=503)
            await up(ports[1])
            assert await answers() == {"two"}
            one.routes["/ready"] = Answer()
            await up(*ports)
            await two.stop()
            assert await answers() == {"one"}
            await two.start()


async def test_without_haproxy_its_drill_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert await run_haproxy() == []


def test_every_end_but_a_complete_one_is_a_failure() -> None:
    results = [Result(1, 2, 3, End.COMPLETE, 200, "w"), Result(1, 0, 3, End.FAILED, 0, "")]
    rows = {row[0]: row[1] for row in table("t", results, Restarts([1.25], [2.0], [0]), {}).rows}
    assert (rows["failed, cut or hung"], rows["SIGTERM to the end, longest"]) == ("1 (1 failed)", "1.2 s")
