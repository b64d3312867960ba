"""vLLM's facts and load, from texts as it writes them."""

import pytest

from router.engines import EventPorts, WorkerAnswerError
from router.engines.engine import RankFacts
from router.engines.vllm import Vllm, recognise
from tests.router.fake_worker import Answer, FakeWorker, as_json, client, vllm, vllm_metrics


async def test_facts_are_read_from_vllm() -> None:
    async with FakeWorker(vllm()) as worker, client() as http:
        facts = await Vllm().facts(http, worker.url)
    assert facts.engine == "vllm"
    assert facts.version == "0.32.0"
    assert [card.id for card in facts.models] == ["qwen3"]
    assert facts.block_tokens == 16
    assert facts.kv_capacity_tokens == 16064
    assert facts.generation == "1795402204.31"
    assert facts.refused is None
    assert facts.ranks == ()
    assert facts.prefix_caching


@pytest.mark.parametrize(("align", "block_tokens"), [("528", 528), ("None", 16), ("0", 16), ("-3", 16), ("9" * 30, 16)])
async def test_hits_land_where_the_engine_says(align: str, block_tokens: int) -> None:
    async with FakeWorker(vllm(vllm_metrics(align=align))) as worker, client() as http:
        assert (await Vllm().facts(http, worker.url)).block_tokens == block_tokens


async def test_capacity_is_blocks_times_size_where_not_said() -> None:
    async with FakeWorker(vllm(vllm_metrics(capacity="None"))) as worker, client() as http:
        assert (await Vllm().facts(http, worker.url)).kv_capacity_tokens == 16_000


async def test_prefix_caching_off() -> None:
    async with FakeWorker(vllm(vllm_metrics(caching="False"))) as worker, client() as http:
        assert not (await Vllm().facts(http, worker.url)).prefix_caching


async def test_each_data_parallel_rank_has_figures_of_its_own() -> None:
    async with FakeWorker(vllm(vllm_metrics(ranks=3))) as worker, client() as http:
        facts = await Vllm().facts(http, worker.url)
        load = await Vllm().load(http, worker.url)
    assert (facts.block_tokens, facts.kv_capacity_tokens, facts.events) == (16, 3 * 16064, None)
    assert facts.ranks == (RankFacts(16064),) * 3
    assert facts.of_rank(2).kv_capacity_tokens == 16064
    assert load is not None
    assert (load.running, load.waiting, load.kv_usage) == (9, 6, 0.25)
    assert [(rank.running, rank.waiting, rank.kv_usage, rank.ranks) for rank in load.ranks] == [(3, 2, 0.25, ())] * 3
    assert {rank.generation for rank in load.ranks} == {load.generation} != {""}


async def test_ranks_stand_in_the_order_of_their_numbers_and_have_ports_of_their_own() -> None:
    page = Answer(vllm_metrics(ranks=12).raw().decode().replace('engine="0"', 'engine="12"'))
    sources: dict[str, object] = {
        str(rank): {"endpoint": f"tcp://*:{5000 + rank}", "replay_endpoint": f"tcp://*:{6000 + rank}", "topic": ""}
        for rank in (10, 12, 2)
    }
    sources["x"] = {"endpoint": "tcp://*:1"}
    async with FakeWorker({**vllm(page), "/kv_event_sources": as_json(sources)}) as worker, client() as http:
        facts = await Vllm().facts(http, worker.url)
    ports = [rank.events.events if rank.events else 0 for rank in facts.ranks]
    assert ports == [0, 5002, 0, 0, 0, 0, 0, 0, 0, 5010, 0, 5012], "numbered 1 to 12, as a node of a larger group"
    assert facts.of_rank(11).events == EventPorts(5012, 6012, "")


async def test_load() -> None:
    async with FakeWorker(vllm()) as worker, client() as http:
        load = await Vllm().load(http, worker.url)
    assert load is not None
    assert (load.running, load.waiting, load.kv_usage) == (3, 2, 0.25)
    assert (load.prefill_seconds_sum, load.prefill_tokens_sum) == (0.4206573760000083, 3528)
    assert (load.prompt_tokens_total, load.hit_tokens_total, load.generated_tokens_total) == (6984, 3456, 8)
    assert load.generation == "1795402204.31"


async def test_several_api_servers_show_no_generation() -> None:
    async with FakeWorker(vllm(vllm_metrics(start=None))) as worker, client() as http:
        assert (await Vllm().facts(http, worker.url)).generation == ""


async def test_only_the_wanted_metrics_are_asked_for() -> None:
    async with FakeWorker(vllm()) as worker, client() as http:
        await Vllm(filtered=True).load(http, worker.url)
        await Vllm(filtered=False).load(http, worker.url)
    filtered, whole = worker.asked
    assert filtered.startswith("/metrics/?name[]=vllm:num_requests_running&name[]=")
    assert whole == "/metrics"


@pytest.mark.parametrize("role", ["kv_producer", "kv_consumer"])
async def test_half_of_a_pair_is_refused_where_it_shows(role: str) -> None:
    info = {"vllm_config": {"kv_transfer_config": {"kv_connector": "PyNccl", "kv_role": role}}, "vllm_env": {}}
    async with FakeWorker(vllm() | {"/server_info": as_json(info)}) as worker, client() as http:
        refused = (await Vllm().facts(http, worker.url)).refused
    assert refused == f"one half of a prefill/decode pair (kv_role {role})"


@pytest.mark.parametrize(
    "info",
    [
        {"vllm_config": {"kv_transfer_config": {"kv_role": "kv_both"}}},
        {"vllm_config": {"kv_transfer_config": None}},
        {"vllm_config": "VllmConfig(model=...)"},
    ],
)
async def test_whole_workers_are_not_refused(info: dict[str, object]) -> None:
    async with FakeWorker(vllm() | {"/server_info": as_json(info)}) as worker, client() as http:
        assert (await Vllm().facts(http, worker.url)).refused is None


@pytest.mark.parametrize(
    "page",
    [
        Answer(""),
        Answer("<html></html>"),
        Answer("vllm:num_requests_running{engine= broken\n"),
        Answer('vllm:num_requests_running{engine="0"} NaN\n'),
        Answer("other 1\n"),
    ],
)
async def test_a_page_without_load_is_an_error(page: Answer) -> None:
    async with FakeWorker(vllm(page)) as worker, client() as http:
        with pytest.raises(WorkerAnswerError, match="no vllm:num_requests_running"):
            await Vllm().load(http, worker.url)


async def test_odd_values_do_no_harm() -> None:
    page = (
        "vllm:num_requests_running 1e9\nvllm:num_requests_waiting -4\nvllm:kv_cache_usage_perc 1.5\n"
        "vllm:prompt_tokens_total +Inf\nvllm:request_prefill_time_seconds_sum NaN\n"
    )
    async with FakeWorker(vllm(Answer(page))) as worker, client() as http:
        load = await Vllm().load(http, worker.url)
    assert load is not None
    assert (load.running, load.waiting, load.kv_usage) == (10**9, 0, 1.0)
    assert (load.prompt_tokens_total, load.prefill_seconds_sum) == (0, 0.0)


async def test_without_metrics_the_models_still_count() -> None:
    engine = Vllm(metrics=False)
    async with FakeWorker(vllm()) as worker, client() as http:
        facts = await engine.facts(http, worker.url)
        assert await engine.load(http, worker.url) is None
    assert (facts.block_tokens, facts.kv_capacity_tokens, facts.generation, facts.ranks) == (0, 0, "", ())
    assert facts.prefix_caching


async def test_recognised_by_its_metrics() -> None:
    async with FakeWorker(vllm()) as worker, client() as http:
        assert await recognise(http, worker.url) == Vllm(filtered=True)
        del worker.routes["/metrics/"]
        assert await recognise(http, worker.url) == Vllm(filtered=False)
        worker.routes["/metrics"] = Answer("sglang:num_running_reqs 1\n")
        assert await recognise(http, worker.url) is None
