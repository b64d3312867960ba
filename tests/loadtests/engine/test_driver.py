"""The engine on a real loop: time, speed, catching up."""

import time

import httpx

from loadtests.engine.driver import Engine
from loadtests.engine.job import Job
from loadtests.engine.profiles import PROFILES
from tests.engines import EngineThread, quick_profile
from tests.loadtests.engine.test_kv_pool import chain_of


def job(answer: int, each_token: bool = True) -> Job:
    return Job(chain_of([1] * 4), 64, answer, each_token)


async def test_what_a_slow_reader_missed_comes_all_at_once() -> None:
    engine = Engine(PROFILES["demo"], speed=100_000.0)
    generation = engine.submit([job(30)])
    news = []
    while part := await generation.news():
        news += part
    assert sum(progress.tokens for progress in news) == 30
    assert [progress.first for progress in news] == [True, *[False] * 29]
    assert news[-1].last
    assert generation.ended
    assert not generation.lost


async def test_several_jobs_end_when_the_last_one_does() -> None:
    engine = Engine(PROFILES["demo"], speed=1000.0)
    generation = engine.submit([job(1), job(20, each_token=False)])
    made = 0
    while part := await generation.news():
        made += sum(progress.tokens for progress in part)
    assert made == 21
    assert engine.stats.finished == 2


async def test_an_ended_generation_cannot_be_aborted() -> None:
    engine = Engine(PROFILES["demo"], speed=1000.0)
    generation = engine.submit([job(1)])
    while await generation.news():
        pass
    engine.abort(generation)
    assert engine.stats.aborted == 0


async def test_a_restart_loses_what_runs() -> None:
    engine = Engine(PROFILES["demo"])
    generation = engine.submit([job(1000)])
    first, scheduler = await generation.news(), engine.scheduler
    engine.restart()
    assert first
    assert await generation.news() == []
    assert generation.lost
    assert engine.scheduler is not scheduler
    assert (await engine.submit([job(1)]).news())[0].last


def test_time_runs_speed_times_as_fast() -> None:
    profile = quick_profile(decode_s=1.0)
    with EngineThread(model="m", profile=profile, speed=20.0) as engine, httpx.Client(base_url=engine.url) as client:
        began = time.monotonic()
        client.post("/v1/completions", json={"model": "m", "prompt": "x", "max_tokens": 6})
        assert 0.25 <= time.monotonic() - began < 2.0  # five decode steps of a second each
