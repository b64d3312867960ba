"""What workers keep in their hosts' memory is believed to be there, if the router is told how much that is."""

import pytest

from tests.engines import EngineThread, quick_profile
from tests.routers import MODEL, running_router

PROFILE = quick_profile(kv_tokens=4_096, max_model_len=4_096, tier_tokens=65_536)


@pytest.mark.parametrize(("told", "predicted"), [(0, 0), (65_536, 1_984)])
async def test_a_prefix_that_left_kv_memory_is_predicted_if_the_host_keeps_it(told: int, predicted: int) -> None:
    with EngineThread(model=MODEL, profile=PROFILE) as engine:
        async with running_router(engine.url, host_kv_tokens=told, decision_headers=True) as router:
            for first in (0, 10_000, 20_000, 30_000, 0):
                body = {"model": MODEL, "prompt": list(range(first, first + 2_000)), "max_tokens": 1}
                answer = await router.client.post("/v1/completions", json=body)
                await router.settles()
            assert answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"] == 1_984
            assert int(answer.headers["x-warmroute-cached-tokens"]) == predicted
