"""Limits strike once, in the right stage, and never after the work is done. The clock is moved by hand."""

import asyncio

import pytest

from router.wire.watchdog import Stage, StageTimeoutError, Watchdog


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def waits(watchdog: Watchdog, entered: asyncio.Event) -> None:
    with watchdog.watch() as watch:
        watch.enter(Stage.FIRST_BYTE, 5)
        entered.set()
        await asyncio.Event().wait()


async def test_a_late_stage_becomes_a_timeout() -> None:
    clock = Clock()
    watchdog = Watchdog(clock)
    entered = asyncio.Event()
    task = asyncio.create_task(waits(watchdog, entered))
    await entered.wait()
    clock.now = 4.9
    assert watchdog.check() == 0
    clock.now = 5.1
    assert watchdog.check() == 1
    with pytest.raises(StageTimeoutError) as caught:
        await task
    assert caught.value.stage is Stage.FIRST_BYTE
    assert task.cancelling() == 0
    assert watchdog.check() == 0


async def test_a_cancelled_client_stays_cancelled() -> None:
    watchdog = Watchdog(Clock())
    entered = asyncio.Event()
    task = asyncio.create_task(waits(watchdog, entered))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_leaving_at_the_moment_of_the_strike_goes_first() -> None:
    clock = Clock()
    watchdog = Watchdog(clock)
    entered = asyncio.Event()
    task = asyncio.create_task(waits(watchdog, entered))
    await entered.wait()
    clock.now = 6
    task.cancel()
    watchdog.check()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_resting_has_no_limit_and_a_finished_watch_is_forgotten() -> None:
    clock = Clock()
    watchdog = Watchdog(clock)
    with watchdog.watch() as watch:
        watch.enter(Stage.SILENCE, 1)
        watch.rest()
        clock.now = 100
        assert watchdog.check() == 0
        watch.enter(Stage.SILENCE, 1)
    clock.now = 200
    assert watchdog.check() == 0
