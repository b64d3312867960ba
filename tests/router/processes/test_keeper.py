"""Restarts with back-off, and a stop that waits for the process."""

import asyncio
import errno
import signal
import subprocess
import sys
from asyncio.subprocess import Process

import pytest

from router.processes.keeper import FIRST_WAIT_S, Keeper


async def sleeper() -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(60)")


async def failure() -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(3)", stderr=-3)


async def test_stop_ends_the_process_and_starts_no_other() -> None:
    ends: list[int] = []
    keeper = Keeper("sleeper", sleeper, lambda: ends.append(1))
    running = asyncio.create_task(keeper.run())
    while not keeper.starts:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    keeper.stop(signal.SIGTERM)
    async with asyncio.timeout(5):
        await running
    assert (keeper.starts, ends) == (1, [1])


async def test_what_ends_is_started_again_later_and_later() -> None:
    loop = asyncio.get_running_loop()
    ends: list[float] = []
    keeper = Keeper("failure", failure, lambda: ends.append(loop.time()))
    running = asyncio.create_task(keeper.run())
    async with asyncio.timeout(20):
        while len(ends) < 3:
            await asyncio.sleep(0.01)
    keeper.stop(signal.SIGTERM)
    async with asyncio.timeout(5):
        await running
    first, second = ends[1] - ends[0], ends[2] - ends[1]
    assert first > FIRST_WAIT_S
    assert second > 2 * FIRST_WAIT_S


async def test_a_start_that_fails_is_tried_again_later(caplog: pytest.LogCaptureFixture) -> None:
    ends: list[int] = []
    failures = [
        BlockingIOError(errno.EAGAIN, "no process left"),
        OSError(errno.EMFILE, "no descriptor left"),
        subprocess.SubprocessError("in preexec_fn"),
    ]

    async def start() -> Process:
        if failures:
            raise failures.pop(0)
        return await sleeper()

    keeper = Keeper("sleeper", start, lambda: ends.append(1))
    running = asyncio.create_task(keeper.run())
    async with asyncio.timeout(20):
        while not keeper.starts:
            assert not running.done()
            await asyncio.sleep(0.01)
    keeper.stop(signal.SIGTERM)
    async with asyncio.timeout(5):
        await running
    assert (failures, keeper.starts, ends) == ([], 1, [1]), "a process that never was has not ended"
    assert [record.message.partition(",")[0] for record in caplog.records] == [
        "sleeper could not be started ([Errno 11] no process left)",
        "sleeper could not be started ([Errno 24] no descriptor left)",
        "sleeper could not be started (in preexec_fn)",
    ]


async def test_stopped_while_it_cannot_be_started() -> None:
    tried = asyncio.Event()

    async def start() -> Process:
        tried.set()
        raise BlockingIOError(errno.EAGAIN, "no process left")

    keeper = Keeper("never", start, lambda: None)
    running = asyncio.create_task(keeper.run())
    await tried.wait()
    keeper.stop(signal.SIGTERM)
    async with asyncio.timeout(5):
        await running
    assert keeper.starts == 0


async def test_stopped_while_it_is_being_started() -> None:
    may_start = asyncio.Event()

    async def slow() -> Process:
        await may_start.wait()
        return await sleeper()

    keeper = Keeper("slow", slow, lambda: None)
    running = asyncio.create_task(keeper.run())
    await asyncio.sleep(0)
    keeper.stop(signal.SIGKILL)
    may_start.set()
    async with asyncio.timeout(5):
        await running
