"""The tests' own engines: started on a free port, killed without a word, brought back on the same one."""

import asyncio

import httpx
import pytest

from tests.engines import EngineProcess, EngineThread, RunningEngine

BODY = {"model": "m", "prompt": "x" * 400, "max_tokens": 10_000, "stream": True}


@pytest.fixture(params=[EngineThread, pytest.param(EngineProcess, marks=pytest.mark.integration)])
def engine(request: pytest.FixtureRequest) -> RunningEngine:
    made: RunningEngine = request.param(model="m")
    return made


async def test_killed_under_load_and_back_empty_on_the_same_port(engine: RunningEngine) -> None:
    with engine:
        url = engine.url
        async with httpx.AsyncClient(base_url=url) as client:
            async with client.stream("POST", "/v1/completions", json=BODY) as answer:
                assert answer.status_code == 200
                await asyncio.to_thread(engine.kill)
                with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                    await answer.aread()
            with pytest.raises(httpx.ConnectError):
                await client.get("/health")
            engine.start()
            assert engine.url == url
            assert (await client.get("/health")).status_code == 200
            assert engine.state()["requests"] == 0


async def test_settles_says_what_it_saw_instead(engine: RunningEngine) -> None:
    with engine:
        assert (await engine.settles(running=0))["waiting"] == 0
        with pytest.raises(AssertionError, match=r"expected .*'running': 3"):
            await engine.settles(timeout_s=0.05, running=3)


def test_two_engines_have_two_ports() -> None:
    with EngineThread(model="m") as one, EngineThread(model="m") as other:
        assert one.port != other.port
        one.kill()
        assert other.state()["running"] == 0
