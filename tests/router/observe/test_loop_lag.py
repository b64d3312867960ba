"""A stall of the loop is seen."""

import asyncio
import time

from router.observe.loop_lag import PERIOD_S, LoopLag
from tests.router.metrics_page import page


async def test_a_stall_is_measured() -> None:
    lag = LoopLag()
    task = asyncio.create_task(lag.run())
    await asyncio.sleep(0)
    time.sleep(PERIOD_S + 0.15)  # noqa: ASYNC251 - the stall
    while not page(lag).get("warmroute_loop_lag_seconds_count{}"):
        await asyncio.sleep(0.001)
    task.cancel()
    found = page(lag)
    assert lag.worst_s >= 0.15
    assert found["warmroute_loop_lag_seconds_bucket{le=0.1}"] == 0
    assert found["warmroute_loop_lag_seconds_sum{}"] >= 0.15
