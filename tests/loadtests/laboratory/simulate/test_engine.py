"""The engine under the virtual clock gives what the same engine gives in real time, over HTTP and without."""

import asyncio
import dataclasses
import random
import time
from statistics import median
from typing import NamedTuple

import httpx
import numpy as np
import pytest

from loadtests.engine.chains import ChainHasher
from loadtests.engine.driver import Engine
from loadtests.engine.job import Job
from loadtests.engine.profiles import PROFILES, Profile
from loadtests.engine.scheduler import Progress
from loadtests.laboratory.simulate.engine import VirtualEngine
from loadtests.laboratory.simulate.timeline import Timeline
from tests.engines import EngineThread

# Tight enough that prompts queue, chunk and evict each other; steps of some 20 ms, so that real timers are precise.
PROFILE = dataclasses.replace(PROFILES["demo"], kv_tokens=5_000, step_tokens=1024, decode_s=0.02, prefill_rate=20_000)


class Request(NamedTuple):
    at_s: float
    ids: list[int]
    answer: int


class Seen(NamedTuple):
    cached: int
    ttft_s: float
    service_s: float
    """From when it was scheduled to its first token."""
    arrived: float


def seen(job: Job, first_token: float) -> Seen:
    assert job.admitted is not None
    return Seen(job.cached_tokens, first_token - job.arrived, first_token - job.admitted, job.arrived)


def requests(count: int, gap_s: float, seed: int) -> list[Request]:
    """Sessions that grow, in turns, by random lengths."""
    rng = random.Random(seed)
    sessions = [[rng.randrange(1 << 20) for _ in range(rng.randint(100, 1500))] for _ in range(6)]
    made, now_s = [], 0.0
    for _ in range(count):
        ids = rng.choice(sessions)
        ids.extend(rng.randrange(1 << 20) for _ in range(rng.randint(20, 300)))
        made.append(Request(now_s, list(ids), rng.randint(1, 60)))
        now_s += rng.expovariate(1 / gap_s)
    return made


def job(request: Request, profile: Profile) -> Job:
    ids = np.array([*request.ids, *range(1 << 30, (1 << 30) + request.answer)], dtype=np.uint32)
    return Job(ChainHasher(profile.block_tokens).chain(ids, 0), len(request.ids), request.answer)


def virtual(made: list[Request]) -> list[Seen]:
    timeline, jobs = Timeline(), [job(request, PROFILE) for request in made]
    firsts: dict[Job, float] = {}

    def tell(progress: Progress) -> None:
        if progress.first:
            firsts[progress.job] = progress.at

    engine = VirtualEngine(timeline, PROFILE, tell)
    for request, one in zip(made, jobs, strict=True):
        timeline.at(request.at_s, engine.submit, one)
    while timeline.step():
        pass
    return [seen(one, firsts[one]) for one in jobs]


async def finished(engine: Engine, one: Job) -> None:
    generation = engine.submit([one])
    while await generation.news():
        pass


async def real(made: list[Request], speed: float) -> list[Seen]:
    engine = Engine(PROFILE, speed)
    jobs = [job(request, PROFILE) for request in made]

    async def ask(request: Request, one: Job) -> None:
        await asyncio.sleep(request.at_s / speed)
        await finished(engine, one)

    await asyncio.gather(*(ask(request, one) for request, one in zip(made, jobs, strict=True)))
    return [seen(one, one.first_token or 0.0) for one in jobs]


@pytest.mark.slow
async def test_one_after_the_other_both_clocks_give_the_same() -> None:
    made = [request._replace(at_s=3.0 * number) for number, request in enumerate(requests(24, 1.0, seed=1))]
    expected = virtual(made)
    engine, jobs = Engine(PROFILE, 24.0), [job(request, PROFILE) for request in made]
    for one in jobs:
        await finished(engine, one)
    got = [seen(one, one.first_token or 0.0) for one in jobs]
    assert [one.cached for one in got] == [one.cached for one in expected]
    assert [one.service_s for one in got] == pytest.approx([one.service_s for one in expected], rel=1e-9)
    assert sum(one.cached for one in got) > 0
    whole = [len(request.ids) - one.cached for request, one in zip(made, got, strict=True)]
    assert max(whole[16:]) > 600  # what was held is evicted


@pytest.mark.slow
async def test_under_load_both_clocks_agree_within_noise() -> None:
    """The virtual engine gets the requests when the real one got them; what is left is how late timers fire."""
    made = requests(40, 0.06, seed=2)
    got = await real(made, speed=1.0)
    expected = virtual([request._replace(at_s=one.arrived) for request, one in zip(made, got, strict=True)])
    cached, cached_expected = (sum(one.cached for one in run) for run in (got, expected))
    assert cached == pytest.approx(cached_expected, rel=0.1)
    times = [sorted(one.ttft_s for one in run) for run in (got, expected)]
    assert median(times[0]) == pytest.approx(median(times[1]), rel=0.15)
    assert sum(times[0]) == pytest.approx(sum(times[1]), rel=0.2)
    assert times[1][-1] > 2 * times[1][0]  # there were queues


def test_the_http_engine_reports_the_same_cached_tokens_and_times() -> None:
    """Same requests, one after the other, over HTTP: usage and time to first token against the virtual engine."""
    made = [request._replace(answer=1, at_s=1.0 * n) for n, request in enumerate(requests(16, 1.0, seed=3))]
    expected = virtual(made)
    got = []
    with EngineThread(profile=PROFILE) as engine, httpx.Client(base_url=engine.url) as client:
        for request in made:
            started = time.perf_counter()
            body = {"model": engine.settings.model, "prompt": request.ids, "max_tokens": 1}
            usage = client.post("/v1/completions", json=body).json()["usage"]
            got.append((usage["prompt_tokens_details"]["cached_tokens"], time.perf_counter() - started))
    assert [cached for cached, _ in got] == [one.cached for one in expected]
    extra_s = median(took_s - one.ttft_s for (_, took_s), one in zip(got, expected, strict=True))
    assert -0.001 < extra_s < 0.05  # HTTP and timers of whole milliseconds come on top


def test_a_restart_loses_jobs_and_memory_and_tells_nothing_more() -> None:
    timeline, told = Timeline(), list[Progress]()
    engine = VirtualEngine(timeline, PROFILE, told.append)
    first, second = (job(Request(0.0, list(range(3000)), 5), PROFILE) for _ in range(2))
    engine.submit(first)
    timeline.run(0.06)
    engine.restart()
    timeline.run(10.0)
    assert told == []
    assert engine.busy_s > 0
    engine.submit(second)
    while timeline.step():
        pass
    assert second.cached_tokens == 0
    assert [progress.job for progress in told if progress.last] == [second]
