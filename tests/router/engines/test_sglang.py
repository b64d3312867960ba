"""SGLang's facts and load, from answers as it gives them."""

import pytest

from router.engines import WorkerAnswerError
from router.engines.sglang import Sglang, recognise
from tests.router.fake_worker import Answer, FakeWorker, as_json, client, sglang, sglang_rank

COUNTERS = Answer(
    'sglang:prompt_tokens_total{is_streaming="true",model_name="m"} 1000.0\n'
    'sglang:prompt_tokens_total{is_streaming="false",model_name="m"} 200.0\n'
    'sglang:cached_tokens_total{cache_source="device",model_name="m"} 700.0\n'
    'sglang:cached_tokens_total{cache_source="host",model_name="m"} 50.0\n'
    'sglang:generation_tokens_total{is_streaming="true",model_name="m"} 99.0\n'
)


async def test_facts_are_read_from_sglang() -> None:
    async with FakeWorker(sglang()) as worker, client() as http:
        facts = await Sglang().facts(http, worker.url)
    assert (facts.engine, facts.version) == ("sglang", "0.5.23")
    assert [(card.id, card.max_model_len) for card in facts.models] == [("Qwen/Qwen3-8B", 32768)]
    assert facts.block_tokens == 16
    assert facts.kv_capacity_tokens == 2 * 400_000
    assert [rank.kv_capacity_tokens for rank in facts.ranks] == [400_000, 400_000]
    assert facts.refused is None
    assert facts.prefix_caching


@pytest.mark.parametrize(
    ("info", "block_tokens"),
    [({"page_size": 1}, 1), ({"page_size": 64, "dcp_size": 2}, 128), ({"page_size": None, "dcp_size": None}, 1)],
)
async def test_block_is_the_page(info: dict[str, object], block_tokens: int) -> None:
    async with FakeWorker(sglang(**info)) as worker, client() as http:
        assert (await Sglang().facts(http, worker.url)).block_tokens == block_tokens


@pytest.mark.parametrize("mode", ["prefill", "decode"])
async def test_half_of_a_pair_is_refused(mode: str) -> None:
    async with FakeWorker(sglang(disaggregation_mode=mode)) as worker, client() as http:
        refused = (await Sglang().facts(http, worker.url)).refused
    assert refused == f"one half of a prefill/decode pair (disaggregation_mode {mode})"


async def test_radix_cache_off() -> None:
    async with FakeWorker(sglang(disable_radix_cache=True)) as worker, client() as http:
        assert not (await Sglang().facts(http, worker.url)).prefix_caching


async def test_generation_is_the_start_and_nothing_else() -> None:
    async with FakeWorker(sglang()) as worker, client() as http:

        async def generation(**info: object) -> str:
            worker.routes = sglang(**info)
            return (await Sglang().facts(http, worker.url)).generation

        first = await generation()
        assert first
        assert await generation(max_total_num_tokens=7, internal_states=[]) == first
        assert await generation(startup_time={"load_weight": 12.345679}) != first
        assert await generation(startup_time=None) == ""


async def test_load_over_all_ranks() -> None:
    async with FakeWorker(sglang()) as worker, client() as http:
        load = await Sglang().load(http, worker.url)
    assert load is not None
    assert (load.running, load.waiting) == (10, 2)
    assert [(rank.running + rank.waiting, rank.ranks) for rank in load.ranks] == [(5, ()), (7, ())]
    assert load.kv_usage == pytest.approx(0.4)
    assert (load.prefill_seconds_sum, load.prefill_tokens_sum) == (5.0, 180_000)
    assert (load.prompt_tokens_total, load.hit_tokens_total, load.generated_tokens_total) == (None, None, None)
    assert load.generation == ""
    assert worker.asked == ["/v1/loads?include=core"]


async def test_counters_where_it_runs_with_metrics() -> None:
    async with FakeWorker(sglang() | {"/metrics/": COUNTERS}) as worker, client() as http:
        load = await Sglang(metrics=True).load(http, worker.url)
    assert load is not None
    assert (load.prompt_tokens_total, load.hit_tokens_total, load.generated_tokens_total) == (1200, 700, 99)


@pytest.mark.parametrize(("page", "expected"), [(Answer(""), 0), (Answer("", status=500), None)])
async def test_load_does_not_depend_on_the_counters(page: Answer, expected: int | None) -> None:
    async with FakeWorker(sglang() | {"/metrics/": page}) as worker, client() as http:
        load = await Sglang(metrics=True).load(http, worker.url)
    assert load is not None
    assert (load.running, load.prompt_tokens_total) == (10, expected)


async def test_old_versions_show_no_load() -> None:
    routes = sglang()
    del routes["/v1/loads"]
    async with FakeWorker(routes) as worker, client() as http:
        assert await Sglang().load(http, worker.url) is None


@pytest.mark.parametrize(
    "answer",
    [
        Answer("<html>"),
        Answer("{}", status=500),
        as_json({"loads": []}),
        as_json({"loads": {}}),
        as_json({"loads": [{}]}),
        as_json({"loads": [sglang_rank(num_running_reqs=None)]}),
        as_json({"loads": [sglang_rank(token_usage="full")]}),
    ],
)
async def test_unreadable_loads_are_errors(answer: Answer) -> None:
    async with FakeWorker(sglang() | {"/v1/loads": answer}) as worker, client() as http:
        with pytest.raises(WorkerAnswerError):
            await Sglang().load(http, worker.url)


async def test_odd_numbers_do_no_harm() -> None:
    ranks = '{"loads": [{"num_running_reqs": -1, "num_waiting_reqs": 1e400, "token_usage": 7.5}]}'
    async with FakeWorker(sglang() | {"/v1/loads": Answer(ranks)}) as worker, client() as http:
        try:
            load = await Sglang().load(http, worker.url)
        except WorkerAnswerError:
            return
    assert load is not None
    assert (load.running, load.waiting, load.kv_usage) == (0, 0, 1.0)


async def test_recognised_by_its_server_info() -> None:
    async with FakeWorker(sglang(enable_metrics=True)) as worker, client() as http:
        assert await recognise(http, worker.url) == Sglang(metrics=True)
        worker.routes["/ready"] = Answer(status=503)
        assert await recognise(http, worker.url) == Sglang(metrics=True)
        del worker.routes["/ready"]
        assert await recognise(http, worker.url) == Sglang(metrics=True, health_path="/health")
        worker.routes["/server_info"] = as_json({"vllm_config": {}, "version": "1"})
        assert await recognise(http, worker.url) is None


async def test_a_wrong_key_is_said() -> None:
    async with FakeWorker(sglang() | {"/server_info": Answer(status=401)}) as worker, client() as http:
        with pytest.raises(WorkerAnswerError, match="another API key"):
            await recognise(http, worker.url)
