"""One cell, from empty engines to records, without a router and through routers that are restarted."""

from collections.abc import AsyncIterator

import pytest

from loadtests.evidence.rivals.arms import ARMS, Tools
from loadtests.evidence.rivals.scenarios import Event, Scenario
from loadtests.evidence.rivals.stage import BURST, Played, Stage, Times
from loadtests.harness.processes import Engine
from loadtests.ports import ports
from tests.loadtests.evidence.rivals.test_sessions import growing

pytestmark = pytest.mark.integration
TOOLS = Tools({}, "bytes")
SHORT = Times(warmup_s=0.5, measured_s=2.5, max_think_s=0.2, ramp_s=0.1)
SESSIONS = [growing(14, name=str(n)) for n in range(4)]


@pytest.fixture
async def engines() -> AsyncIterator[list[Engine]]:
    first, second = (Engine(port) for port in ports(2))
    async with first, second:
        yield [first, second]


async def played(engines: list[Engine], arm: str, *events: Event) -> Played:
    scenario = Scenario("s", "t", sessions=4, kv_tokens=131_072, events=events)
    return await Stage(scenario, ARMS[arm], engines, TOOLS).play(SESSIONS, SHORT)


def blamed(found: Played) -> set[str]:
    return {record.error for record in found.records} - {""}


async def test_the_oracle_needs_no_router_and_leaves_the_sick(engines: list[Engine]) -> None:
    found = await played(engines, "oracle", Event(0.5, "fail"), Event(1.5, "heal"), Event(2.0, "burst"))
    assert blamed(found) <= {"status 500"}
    assert sum(record.turn == 99 for record in found.records) == BURST
    later = [record.usage for record in found.records if 2 <= record.turn < 99 and not record.error]
    assert later and sum(u.cached_tokens for u in later) > 0.9 * sum(u.prompt_tokens for u in later)
    assert min(sight.requests for sight in found.engines.values()) > 0
    assert (await engines[0].state())["blocks"] == 8_000_000 // 16


async def test_routers_are_restarted_one_after_the_other(engines: list[Engine]) -> None:
    found = await played(engines, "warmroute", Event(0.2, "restart"))
    assert not blamed(found)
    assert any(record.ttft_s > 0.5 for record in found.records)  # nobody was there
    assert {record.decision.worker for record in found.records} == {engine.worker for engine in engines}
