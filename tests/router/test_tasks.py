"""Background tasks are started again, later each time, and counted."""

import asyncio
from itertools import pairwise

from router.tasks import Background, cancel_all
from tests.router.shared.conftest import until


async def test_what_ends_by_a_fault_is_started_again_later_each_time_and_counted() -> None:
    starts: list[float] = []

    async def work() -> None:
        starts.append(asyncio.get_running_loop().time())
        if len(starts) < 4:
            raise RuntimeError("a fault")
        await asyncio.Event().wait()

    async with Background(wait_s=0.02) as background:
        background.start("work", work)
        await until(lambda: len(starts) == 4)
        assert background.restarts.values == {("work",): 3}
    pauses = [after - before for before, after in pairwise(starts)]
    assert all(pause >= 0.02 * 2**number for number, pause in enumerate(pauses)), pauses


async def test_what_ends_with_the_router_is_not_started_again() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    async with Background() as background:
        background.start("work", work)
        await asyncio.sleep(0)
    assert not background.restarts.values


async def test_a_task_that_loses_a_cancellation_ends_all_the_same() -> None:
    lost = 0

    async def work() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost == 2:
                    raise
                lost += 1

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await cancel_all([task], again_s=0.01)
    assert task.cancelled()
    assert lost == 2


async def test_nothing_to_cancel_takes_no_time() -> None:
    async with asyncio.timeout(1):
        await cancel_all([])
