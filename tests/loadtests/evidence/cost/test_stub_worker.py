"""What the stub says must be readable as an OpenAI answer, or a router would be measured on its error path."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from loadtests.evidence.cost import bodies, stub_worker
from loadtests.evidence.cost.client import Load
from loadtests.ports import ports


def _events(raw: bytes) -> Iterator[bytes]:
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        frame, raw = raw[: int(size, 16)], raw[int(size, 16) + 2 :]
        if frame:
            yield frame.removeprefix(b"data: ").removesuffix(b"\n\n")


def test_a_plain_answer_has_its_length_and_usage() -> None:
    head, _, body = stub_worker.completion(2000).partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head
    usage = json.loads(body)["usage"]
    assert usage["prompt_tokens"] == 1002
    assert usage["prompt_tokens_details"]["cached_tokens"] == 992


def test_a_streamed_answer_is_as_many_writes_as_asked_and_ends() -> None:
    writes = stub_worker.stream_chunks(3000, 32)
    assert len(writes) == 32
    events = list(_events(b"".join(writes)))
    assert events[-1] == b"[DONE]"
    assert json.loads(events[-2])["usage"]["completion_tokens"] == 32
    assert all(json.loads(event)["choices"][0]["delta"]["content"] for event in events[:-2])


def test_metrics_state_the_kv_capacity_as_vllm_does() -> None:
    worker = stub_worker.Worker(8000, [], stub_worker.Pace(1, 0.0))
    status, _, text = worker.page("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    assert status == 200
    assert families["vllm:cache_config_info"].samples[0].labels["block_size"] == "16"
    assert worker.page("/server_info")[0] == 404


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_runs_its_phases_against_it(stream: bool) -> None:
    (port,) = ports(1)
    fleet: list[stub_worker.Worker] = []
    fleet.append(stub_worker.Worker(port, fleet, stub_worker.Pace(4, 0.0)))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: stub_worker.Connection(fleet[0], loop), "127.0.0.1", port)
    workload = bodies.generate(1, 6, stream=stream)
    load = Load(workload, 2)
    first = await load.run({"kind": "first", "port": port})
    later = await load.run({"kind": "later", "port": port})
    load.close()
    server.close()
    assert first["requests"] == 6
    assert first["requests"] + later["requests"] == sum(len(session.ends) for session in workload.conversations)
    assert first["errors"] == later["errors"] == 0
    assert 0 < later["ttft_p50_ms"] <= later["total_p50_ms"]
    assert json.loads(fleet[0].page("/counts")[2]) == {str(port): [fleet[0].asked, fleet[0].served]}
    assert fleet[0].served == first["requests"] + later["requests"]
    assert fleet[0].in_flight == 0
