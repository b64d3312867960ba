"""Where engines say that they publish: ports and nothing else, or nothing at all."""

from typing import Any

import msgspec
import pytest

from router.engines import EventPorts
from router.engines.events import VLLM_PATH, sglang_events, vllm_events
from router.engines.sglang import Sglang
from tests.router.fake_worker import Answer, FakeWorker, as_json, client, sglang

SGLANG = {"publisher": "zmq", "endpoint_host": "*", "endpoint_port_base": 5557, "topic": "t", "block_size": 16}
PORTS = EventPorts(5557, 5558, "kv@")


async def vllm_says(answer: Answer) -> dict[int, EventPorts]:
    async with FakeWorker({VLLM_PATH: answer}) as worker, client() as http:
        return await vllm_events(http, worker.url)


async def test_the_ports_of_vllm_are_read_from_its_configuration() -> None:
    source = {
        "endpoint": "tcp://*:5557",
        "replay_endpoint": "tcp://*:5558",
        "topic": "kv@",
        "publisher": "zmq",
        "hwm": 1,
    }
    assert await vllm_says(as_json({"0": source, "3": source, "x": source})) == dict.fromkeys((0, 3), PORTS)
    assert await vllm_says(as_json({"0": {"endpoint": "tcp://10.0.0.1:5557", "replay_endpoint": None}})) == {
        0: EventPorts(5557)
    }


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"0": {}},
        {"0": {"endpoint": "ipc:///tmp/x"}},
        {"0": {"endpoint": "tcp://*:0"}},
        {"0": {"endpoint": "tcp://*:99999"}},
        {"0": {"endpoint": 5}},
        {"0": {"endpoint": "tcp://*:5557", "topic": "t" * 300}},
        {"": {"endpoint": "tcp://*:5557"}, "-1": {"endpoint": "tcp://*:5558"}, "9" * 9: {"endpoint": "tcp://*:1"}},
        [],
        "no",
    ],
)
async def test_what_vllm_says_that_is_no_source(found: Any) -> None:
    assert await vllm_says(as_json(found)) == {}


async def test_a_vllm_that_says_nothing() -> None:
    assert await vllm_says(Answer("Not Found", status=404)) == {}


def test_the_ports_of_sglang_are_read_from_its_configuration() -> None:
    raw = msgspec.Raw(msgspec.json.encode({**SGLANG, "replay_endpoint_port_base": 5600}))
    assert sglang_events(raw) == EventPorts(5557, 5600, "t")
    assert sglang_events(msgspec.Raw(msgspec.json.encode(SGLANG))) == EventPorts(5557, 0, "t")


async def test_ranks_of_sglang_publish_on_the_ports_that_follow() -> None:
    events = {**SGLANG, "endpoint_port_base": 65_534, "replay_endpoint_port_base": 5600}
    async with FakeWorker(sglang(kv_events=events, dp_size=3)) as worker, client() as http:
        facts = await Sglang().facts(http, worker.url)
    ports = [facts.of_rank(rank).events for rank in range(3)]
    assert ports == [EventPorts(65_534, 5600, "t"), EventPorts(65_535, 5601, "t"), None], "there is no port 65,536"
    assert facts.events is None


@pytest.mark.parametrize(
    "change", [{"publisher": "null"}, {"endpoint_port_base": "x"}, {"endpoint_port_base": -1}, {"topic": 5}]
)
async def test_what_sglang_says_that_is_no_source(change: dict[str, Any]) -> None:
    async with FakeWorker(sglang(kv_events={**SGLANG, **change})) as worker, client() as http:
        assert (await Sglang().facts(http, worker.url)).events is None
