"""Probing, against servers on real sockets, with short intervals: what the listener is told, and in which order."""

import asyncio
import time
from collections.abc import AsyncIterator
from random import Random

import httpx
import pytest

from router.engines import Facts, Load
from router.engines.probe import ProbeConfig, Prober
from tests.router.fake_worker import (
    Answer,
    FakeWorker,
    as_json,
    client,
    models,
    sglang,
    sglang_rank,
    vllm,
    vllm_metrics,
)

QUICK = ProbeConfig(interval_s=0.01, health_interval_s=0.02, facts_interval_s=0.05, looks_per_s=10_000)
PATIENCE_S = 5.0


class Recorder:
    """A listener that keeps what it was told, and lets a test wait for the next."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[tuple[str, str, object]] = asyncio.Queue()
        self.crash_on = ""

    def _tell(self, what: str, worker_id: str, more: object = None) -> None:
        if what == self.crash_on:
            self.crash_on = ""
            raise ZeroDivisionError("a bug in the listener")
        self.told.put_nowait((what, worker_id, more))

    def on_facts(self, worker_id: str, facts: Facts) -> None:
        self._tell("facts", worker_id, facts)

    def on_load(self, worker_id: str, load: Load) -> None:
        self._tell("load", worker_id, load)

    def on_healthy(self, worker_id: str) -> None:
        self._tell("healthy", worker_id)

    def on_unhealthy(self, worker_id: str, reason: str) -> None:
        self._tell("unhealthy", worker_id, reason)

    def on_restart(self, worker_id: str) -> None:
        self._tell("restart", worker_id)

    async def next(self, *but: str) -> tuple[str, object]:
        """The next event whose kind is not one of `but`: kind and value."""
        async with asyncio.timeout(PATIENCE_S):
            while (event := await self.told.get())[0] in but:
                pass
        return event[0], event[2]

    async def facts(self) -> Facts:
        """The next facts; nothing but loads may come before."""
        what, facts = await self.next("load")
        assert what == "facts", what
        assert isinstance(facts, Facts)
        return facts

    async def load(self) -> Load:
        """The next load; nothing else may come before."""
        what, load = await self.next()
        assert what == "load", what
        assert isinstance(load, Load)
        return load


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client(0.5) as opened:
        yield opened


@pytest.fixture
def events() -> Recorder:
    return Recorder()


@pytest.fixture
def prober(events: Recorder, http: httpx.AsyncClient) -> Prober:
    return Prober(events, http, time.monotonic, Random(1), QUICK)


async def test_a_good_worker_is_introduced_at_once(events: Recorder, prober: Prober) -> None:
    async with FakeWorker(vllm()) as worker:
        prober.watch("w", worker.url)
        async with prober:
            assert (await events.facts()).generation == "1795402204.31"
            assert await events.next() == ("healthy", None)
            assert (await events.load()).running == 3
            worker.routes["/metrics/"] = vllm_metrics(running=4)
            while (await events.load()).running != 4:
                pass
    assert {path.partition("?")[0] for path in worker.asked} >= {"/health", "/metrics/", "/v1/models"}


@pytest.mark.parametrize("routes", [sglang(), {"/v1/models": models("m", owner="me")}])
async def test_every_engine_becomes_healthy(events: Recorder, prober: Prober, routes: dict[str, Answer]) -> None:
    async with FakeWorker(routes) as worker, prober:
        prober.watch("w", worker.url)
        await events.facts()
        assert await events.next() == ("healthy", None)


async def test_a_worker_that_is_not_there_yet_is_found_when_it_comes(events: Recorder, prober: Prober) -> None:
    async with FakeWorker(vllm()) as worker:
        await worker.stop()
        prober.watch("w", worker.url)
        async with prober:
            assert await events.next() == ("unhealthy", "connection refused")
            await worker.start()
            await events.facts()
            assert await events.next() == ("healthy", None)


async def test_a_process_that_is_gone_is_unhealthy_at_once(events: Recorder, http: httpx.AsyncClient) -> None:
    forgiving = ProbeConfig(interval_s=0.01, health_interval_s=0.01, unhealthy_after=10**9, looks_per_s=1e4)
    async with FakeWorker(vllm()) as worker, Prober(events, http, time.monotonic, Random(1), forgiving) as prober:
        prober.watch("w", worker.url)
        assert (await events.next("facts"))[0] == "healthy"
        await worker.stop()
        what, reason = await events.next("load")
        assert (what, reason) == ("unhealthy", "connection refused")
        await worker.start()
        await events.facts()
        assert await events.next() == ("healthy", None)


async def test_ill_health_takes_several_probes(events: Recorder, http: httpx.AsyncClient) -> None:
    config = ProbeConfig(
        interval_s=0.01, health_interval_s=0.01, facts_interval_s=60, unhealthy_after=4, looks_per_s=1e4
    )
    async with FakeWorker(vllm()) as worker, Prober(events, http, time.monotonic, Random(1), config) as prober:
        prober.watch("w", worker.url)
        assert (await events.next("facts"))[0] == "healthy"
        worker.routes["/health"] = Answer(status=503)
        worker.asked.clear()
        assert await events.next("load") == ("unhealthy", "/health: HTTP 503")
        failed = worker.asked.count("/health")
        assert failed in (4, 5)  # one more when a good one was under way
        worker.routes["/health"] = Answer()
        await events.facts()
        assert await events.next() == ("healthy", None)


async def test_a_worker_that_hangs_becomes_unhealthy(events: Recorder) -> None:
    async with (
        FakeWorker(vllm()) as worker,
        client(0.2) as http,
        Prober(events, http, time.monotonic, Random(1), QUICK) as prober,
    ):
        prober.watch("w", worker.url)
        assert (await events.next("facts"))[0] == "healthy"
        for path in worker.routes:
            worker.routes[path] = Answer(hang=True)
        assert (await events.next("load")) == ("unhealthy", "/health: no answer in time")


async def test_unreadable_load_is_no_ill_health(
    events: Recorder, prober: Prober, caplog: pytest.LogCaptureFixture
) -> None:
    async with FakeWorker(vllm()) as worker, prober:
        prober.watch("w", worker.url)
        assert (await events.next("facts"))[0] == "healthy"
        worker.routes["/metrics/"] = Answer(status=500)
        worker.asked.clear()
        await worker.heard("/health", 5)
        told = [events.told.get_nowait()[0] for _ in range(events.told.qsize())]
        assert "unhealthy" not in told
        worker.routes["/metrics/"] = vllm_metrics(running=7)
        while (await events.load()).running != 7:
            pass
    assert [record.getMessage() for record in caplog.records] == ["worker w shows no load: /metrics/: HTTP 500"]


async def test_half_of_a_pair_is_unhealthy_and_says_why(events: Recorder, prober: Prober) -> None:
    async with FakeWorker(sglang(disaggregation_mode="prefill")) as worker, prober:
        prober.watch("w", worker.url)
        reason = "one half of a prefill/decode pair (disaggregation_mode prefill)"
        assert await events.next() == ("unhealthy", reason)
        worker.routes = sglang()
        assert (await events.facts()).refused is None
        assert await events.next() == ("healthy", None)


async def test_too_many_models_on_too_many_ranks_are_not_taken(events: Recorder, prober: Prober) -> None:
    many, answers = [f"m{number}" for number in range(4096)], sglang(dp_size=4)
    async with FakeWorker({**answers, "/v1/models": models(*many)}) as worker, prober:
        prober.watch("w", worker.url)
        assert len((await events.facts()).models) == 4096
        assert await events.next("load") == ("healthy", None)
        worker.routes["/server_info"] = sglang(dp_size=5)["/server_info"]
        reason = "4,096 models on 5 ranks: more than 16,384 in all"
        assert await events.next("load") == ("unhealthy", reason)


async def test_a_restart_between_two_looks_shows_as_another_generation(events: Recorder, prober: Prober) -> None:
    async with FakeWorker(vllm()) as worker, prober:
        prober.watch("w", worker.url)
        assert (await events.next("facts"))[0] == "healthy"
        worker.routes = vllm(vllm_metrics(start="1.79540299999e+09", prompt_tokens=0))
        assert (await events.facts()).generation == "1795402999.99"
        for _ in range(3):
            await events.load()


async def test_a_restart_without_generation_is_told(events: Recorder, prober: Prober) -> None:
    async with FakeWorker(vllm(vllm_metrics(start=None))) as worker, prober:
        prober.watch("w", worker.url)
        assert (await events.next("facts"))[0] == "healthy"
        await events.load()
        worker.routes = vllm(vllm_metrics(start=None, prompt_tokens=10))
        assert (await events.next("load"))[0] == "restart"
        for _ in range(3):
            await events.load()


async def test_sglangs_restart_is_told_once(events: Recorder, prober: Prober) -> None:
    async with FakeWorker(sglang()) as worker, prober:
        prober.watch("w", worker.url)
        first = (await events.facts()).generation
        assert (await events.next())[0] == "healthy"
        await events.load()
        ranks = [sglang_rank(total_prefill_uncached_tokens=5), sglang_rank(total_prefill_uncached_tokens=5)]
        worker.routes["/server_info"] = sglang(startup_time={"load_weight": 9.5})["/server_info"]
        worker.routes["/v1/loads"] = as_json({"loads": ranks})
        assert (await events.facts()).generation != first
        for _ in range(3):
            await events.load()


async def test_back_after_nobody_listened_is_a_restart_where_there_is_no_generation(
    events: Recorder, prober: Prober
) -> None:
    async with FakeWorker(vllm(vllm_metrics(start=None))) as worker, prober:
        prober.watch("w", worker.url)
        assert (await events.next("facts"))[0] == "healthy"
        await events.load()
        await worker.stop()
        assert (await events.next("load"))[0] == "unhealthy"
        worker.routes = vllm(vllm_metrics(start=None, prompt_tokens=10))
        await worker.start()
        assert [(await events.next())[0] for _ in range(5)] == ["restart", "facts", "healthy", "load", "load"]


async def test_ill_health_without_generation_is_no_restart(events: Recorder, prober: Prober) -> None:
    async with FakeWorker(vllm(vllm_metrics(start=None))) as worker, prober:
        await worker.stop()
        prober.watch("w", worker.url)
        assert (await events.next())[0] == "unhealthy"
        await worker.start()
        assert (await events.next("facts"))[0] == "healthy"
        worker.routes["/health"] = Answer(status=503)
        assert (await events.next("load"))[0] == "unhealthy"
        worker.routes["/health"] = Answer()
        assert [(await events.next())[0] for _ in range(3)] == ["facts", "healthy", "load"]


async def test_a_slow_page_of_metrics_is_no_ill_health(events: Recorder) -> None:
    rare = ProbeConfig(interval_s=0.01, health_interval_s=3600, facts_interval_s=3600, looks_per_s=1e4)
    async with (
        FakeWorker(vllm()) as worker,
        client(0.2) as http,
        Prober(events, http, time.monotonic, Random(1), rare) as prober,
    ):
        prober.watch("w", worker.url)
        assert (await events.next("facts"))[0] == "healthy"
        worker.routes["/metrics/"] = Answer(hang=True)
        await worker.heard("/health", 5)
        told = [events.told.get_nowait()[0] for _ in range(events.told.qsize())]
        assert "unhealthy" not in told


async def test_back_with_the_same_generation_is_no_restart(events: Recorder, prober: Prober) -> None:
    async with FakeWorker(vllm()) as worker, prober:
        prober.watch("w", worker.url)
        assert (await events.next("facts"))[0] == "healthy"
        await worker.stop()
        assert (await events.next("load"))[0] == "unhealthy"
        await worker.start()
        assert (await events.facts()).generation == "1795402204.31"
        assert [(await events.next())[0] for _ in range(2)] == ["healthy", "load"]


async def test_a_new_adapter_is_seen_without_a_restart(events: Recorder, prober: Prober) -> None:
    async with FakeWorker(vllm()) as worker, prober:
        prober.watch("w", worker.url)
        assert (await events.next("facts"))[0] == "healthy"
        worker.routes["/v1/models"] = models("qwen3", tuned="qwen3")
        assert [card.id for card in (await events.facts()).models] == ["qwen3", "tuned"]


async def test_looking_soon_does_not_wait(events: Recorder, http: httpx.AsyncClient) -> None:
    patient = ProbeConfig(interval_s=3600, health_interval_s=3600, facts_interval_s=3600)
    async with FakeWorker(vllm()) as worker, Prober(events, http, time.monotonic, Random(1), patient) as prober:
        prober.watch("w", worker.url)
        assert (await events.next("facts", "healthy"))[0] == "load"
        worker.routes["/v1/models"] = models("qwen3", tuned="qwen3")
        worker.asked.clear()
        prober.look_soon("w")
        prober.look_soon("nobody")
        assert [card.id for card in (await events.facts()).models] == ["qwen3", "tuned"]
        assert "/health" in worker.asked


async def test_nothing_is_told_after_unwatch(events: Recorder, prober: Prober) -> None:
    async with FakeWorker(vllm()) as one, FakeWorker(vllm()) as other, prober:
        prober.watch("one", one.url)
        prober.watch("other", other.url)
        await events.facts()
        prober.unwatch("one")
        prober.unwatch("nobody")
        while not events.told.empty():
            events.told.get_nowait()
        for _ in range(5):
            assert (await asyncio.wait_for(events.told.get(), PATIENCE_S))[1] == "other"


async def test_watching_again_follows_the_new_url(events: Recorder, prober: Prober) -> None:
    async with FakeWorker(vllm()) as one, FakeWorker(vllm(vllm_metrics(running=8))) as other, prober:
        prober.watch("w", one.url)
        assert (await events.next("facts", "healthy"))[0] == "load"
        prober.watch("w", other.url)
        await events.facts()
        assert (await events.next())[0] == "healthy"
        assert (await events.load()).running == 8


async def test_a_crash_is_reported_and_survived(
    events: Recorder, prober: Prober, caplog: pytest.LogCaptureFixture
) -> None:
    events.crash_on = "facts"
    async with FakeWorker(vllm()) as worker, prober:
        prober.watch("w", worker.url)
        while (await events.next())[0] != "load":
            pass
    (record,) = caplog.records
    assert record.getMessage() == "probing of worker w crashed"


async def test_nothing_runs_after_the_end(events: Recorder, prober: Prober) -> None:
    async with FakeWorker(vllm()) as worker:
        async with prober:
            prober.watch("w", worker.url)
            await events.facts()
        asked = len(worker.asked)
        prober.watch("late", worker.url)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(worker.asked) == asked
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("probe")] == []


async def test_what_is_watched_no_more_has_closed_its_connections_at_the_end(events: Recorder, prober: Prober) -> None:
    async with FakeWorker(vllm()) as engine, prober:
        prober.watch("a", engine.url)
        await events.next("load")
        prober.unwatch("a")
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "probe a"]


async def test_looks_at_the_same_time_are_bounded(events: Recorder) -> None:
    narrow = ProbeConfig(interval_s=0.01, health_interval_s=0.01, concurrency=2, looks_per_s=1e4)
    async with (
        FakeWorker({"/metrics/": Answer(hang=True)}) as worker,
        client(0.2) as http,
        Prober(events, http, time.monotonic, Random(1), narrow) as prober,
    ):
        for i in range(10):
            prober.watch(f"w{i}", worker.url)
        assert (await events.next())[0] == "unhealthy"
        assert len(worker.asked) in (2, 3, 4)


async def test_a_large_fleet_is_asked_less_often(events: Recorder, http: httpx.AsyncClient) -> None:
    paced = ProbeConfig(interval_s=0.01, health_interval_s=3600, facts_interval_s=3600, looks_per_s=40)
    async with FakeWorker(vllm()) as worker, Prober(events, http, time.monotonic, Random(1), paced) as prober:
        for i in range(20):
            prober.watch(f"w{i}", worker.url)
        for _ in range(20):
            await events.next("facts", "healthy")
        begun = time.monotonic()
        for _ in range(40):
            await events.next("facts", "healthy")
        assert time.monotonic() - begun > 0.7
