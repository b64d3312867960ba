"""Which engine answers."""

import pytest

from router.engines import WorkerAnswerError, detect
from router.engines.sglang import Sglang
from router.engines.unknown import Unknown
from router.engines.vllm import Vllm
from tests.router.fake_worker import Answer, FakeWorker, as_json, client, models, sglang, vllm


async def test_vllm_is_recognised() -> None:
    async with FakeWorker(vllm()) as worker, client() as http:
        assert await detect(http, worker.url) == Vllm()


async def test_sglang_is_recognised() -> None:
    async with FakeWorker(sglang()) as worker, client() as http:
        assert await detect(http, worker.url) == Sglang()


async def test_what_a_server_calls_itself_does_not_outweigh_what_it_shows() -> None:
    async with FakeWorker(sglang() | {"/v1/models": models("m", owner="vllm")}) as worker, client() as http:
        assert await detect(http, worker.url) == Sglang()
        worker.routes = vllm() | {"/v1/models": models("m", owner="sglang")}
        assert await detect(http, worker.url) == Vllm()


@pytest.mark.parametrize(
    "routes",
    [
        {"/v1/models": models("m", owner="vllm")},
        {"/v1/models": models("m", owner="me"), "/version": as_json({"version": "0.32.0"})},
        {"/v1/models": models("m", owner="vllm"), "/metrics": Answer("process_start_time_seconds 1\n")},
    ],
)
async def test_vllm_without_metrics(routes: dict[str, Answer]) -> None:
    async with FakeWorker(routes) as worker, client() as http:
        assert await detect(http, worker.url) == Vllm(metrics=False)


async def test_any_other_server_is_unknown_and_usable() -> None:
    async with FakeWorker({"/v1/models": models("m", owner="me")}) as worker, client() as http:
        engine = await detect(http, worker.url)
        facts = await engine.facts(http, worker.url)
        assert await engine.load(http, worker.url) is None
    assert engine == Unknown()
    assert engine.health_path == "/v1/models"
    assert (facts.engine, facts.block_tokens, facts.kv_capacity_tokens, facts.generation) == ("unknown", 0, 0, "")
    assert [card.id for card in facts.models] == ["m"]


@pytest.mark.parametrize("path", ["/metrics/", "/server_info"])
async def test_nothing_more_is_asked_of_a_server_that_hangs(path: str) -> None:
    async with FakeWorker({path: Answer(hang=True)}) as worker, client(0.2) as http:
        with pytest.raises(WorkerAnswerError, match=f"{path}: no answer in time"):
            await detect(http, worker.url)
    assert worker.asked[-1].partition("?")[0] == path


@pytest.mark.parametrize("answer", [Answer("<html>"), Answer(status=404), Answer(status=401)])
async def test_without_models_there_is_no_engine(answer: Answer) -> None:
    async with FakeWorker(vllm() | {"/v1/models": answer}) as worker, client() as http:
        with pytest.raises(WorkerAnswerError, match="/v1/models"):
            await (await detect(http, worker.url)).facts(http, worker.url)
