"""A socket for KV events that is not there is told."""

import asyncio
import dataclasses

import pytest

from loadtests.ports import ports
from router.check.events import of_events
from router.engines import EventPorts
from router.fleet.worker import Worker
from router.kv_events.rules import parse_rule
from tests.router.fleets import facts, make_fleet


def a_worker(events: EventPorts | None) -> Worker:
    fleet = make_fleet(1)
    (worker,) = fleet.workers.values()
    worker.url = "http://127.0.0.1:8000"
    worker.facts = dataclasses.replace(facts(), events=events)
    return worker


async def test_a_socket_that_listens_is_ok_and_one_that_does_not_is_named() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        heard = server.sockets[0].getsockname()[1]
        (deaf,) = ports(1)
        (found,) = await of_events(a_worker(EventPorts(heard, 0)), ())
        assert (found.level, found.text) == ("ok", f"publishes KV events at port {heard}")
        (found,) = await of_events(a_worker(EventPorts(heard, deaf)), ())
        assert (found.level, found.text) == ("error", f"nothing listens for KV events at port {deaf} of 127.0.0.1")
        (found,) = await of_events(a_worker(None), (parse_rule(f"{deaf}/{heard}"),))
        assert (found.level, str(deaf) in found.text) == ("error", True)


@pytest.mark.parametrize(("rule", "said"), [("auto", []), ("off", []), ("on", ["error"])])
async def test_an_engine_that_says_nothing_of_events(rule: str, said: list[str]) -> None:
    assert [one.level for one in await of_events(a_worker(None), (parse_rule(rule),))] == said


async def test_events_that_are_switched_off_are_not_looked_for() -> None:
    assert await of_events(a_worker(EventPorts(1, 1)), (parse_rule("off"),)) == []
