"""The engines' own counters."""

import pytest

from loadtests.laboratory.replay.engines import Sight, look
from tests.engines import EngineThread

VLLM = """# TYPE vllm:prompt_tokens counter
vllm:prompt_tokens_total{engine="0"} 100
vllm:prompt_tokens_total{engine="1"} 200
# TYPE vllm:prefix_cache_queries counter
vllm:prefix_cache_queries_total{engine="0"} 250
# TYPE vllm:prefix_cache_hits counter
vllm:prefix_cache_hits_total{engine="0"} 200
"""


def test_counters_are_summed_over_ranks() -> None:
    sight = Sight.parse(VLLM)
    assert (sight.prompt_tokens, sight.cached_tokens, sight.hit_rate) == (300, 200, 0.8)


def test_what_came_since_survives_a_restart() -> None:
    before, after = Sight(10, 1000, 900, 500), Sight(12, 1200, 1100, 650)
    assert after.since(before) == Sight(2, 200, 200, 150)
    assert Sight(1, 50, 50, 0).since(before) == Sight(1, 50, 50, 0)


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
async def test_emulated_engines_can_be_read(kind: str) -> None:
    with EngineThread(kind=kind) as engine:
        found = await look([engine.url, f"{engine.url}/metrics"])
    assert list(found.values()) == [Sight(), Sight()]


async def test_what_is_no_engine_is_said() -> None:
    with pytest.raises(ValueError, match="does not answer"):
        await look(["http://127.0.0.1:9"])
    with pytest.raises(ValueError, match="neither vLLM's"):
        Sight.parse("a 1\n")
