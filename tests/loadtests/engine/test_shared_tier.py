"""A second tier that several engine processes share: the same as one in memory, and seen over HTTP."""

import random
from collections.abc import Iterator

import httpx
import pytest

from loadtests.engine.__main__ import main
from loadtests.engine.shared_tier import SharedTier, shared_tier
from loadtests.engine.tier import Tier
from tests.engines import EngineThread, quick_profile
from tests.servers import RedisServer


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def url(server: RedisServer) -> str:
    with server.client() as client:
        client.flushall()
    return server.url


def test_it_keeps_what_a_tier_in_memory_keeps(url: str) -> None:
    rng = random.Random(3)
    chains = [[number * 1000 + block for block in range(rng.randrange(1, 30))] for number in range(12)]
    read = 0
    engines, alone = [SharedTier(url, 60, 16, 1e6, 0.5) for _ in range(3)], Tier(60, 16, 1e6, 0.5)
    for _ in range(400):
        chain, shared = rng.choice(chains), rng.choice(engines)
        start = rng.randrange(len(chain))
        found = shared.match(chain, start, len(chain))
        assert found == alone.match(chain, start, len(chain))
        if found:
            assert shared.read(chain[start : start + found]) == alone.read(chain[start : start + found])
            read += found
        shared.write(chain[start + found :])
        alone.write(chain[start + found :])
        assert len(shared) == len(alone) <= 60
    assert read


def test_long_prompts_are_matched_to_the_end(url: str) -> None:
    tier = SharedTier(url, 10_000, 16, 1e6)
    chain = list(range(1, 3_001))
    tier.write(chain[:1_700])
    assert [tier.match(chain, 0, limit) for limit in (0, 512, 513, 3_000)] == [0, 512, 513, 1_700]
    tier.write([])
    assert len(tier) == 1_700


def test_what_one_engine_computed_another_reads_over_http(url: str) -> None:
    profile = quick_profile(tier_tokens=64_000)
    body = {"model": "m", "prompt": list(range(2_000)), "max_tokens": 1}

    def cached(engine: EngineThread) -> int:
        answer = httpx.post(f"{engine.url}/v1/completions", json=body).json()
        return int(answer["usage"]["prompt_tokens_details"]["cached_tokens"])

    settings = {"model": "m", "profile": profile, "shared_tier": url}
    with EngineThread(**settings) as first, EngineThread(**settings) as second:
        assert [cached(first), cached(second), cached(second)] == [0, 1984, 1984]
        httpx.post(f"{first.url}/emulator/restart", json={})
        assert cached(first) == 1984, "the pool outlives its engines"
        assert b"external_kv_transfer" in httpx.get(f"{second.url}/metrics").content
    with EngineThread(model="m", profile=profile) as alone:
        assert cached(alone) == 0


def test_it_needs_a_size_and_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="tier-tokens"):
        shared_tier(quick_profile(), "redis://localhost")
    assert shared_tier(quick_profile(), "") is None
    for arguments, message in (
        (["--shared-tier", "redis://127.0.0.1:1"], "needs --tier-tokens"),
        (["--shared-tier", "redis://127.0.0.1:1", "--tier-tokens", "9000"], "redis://127.0.0.1:1"),
        (["--shared-tier", "http://x", "--tier-tokens", "9000"], "http://x"),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        assert message in capsys.readouterr().err
