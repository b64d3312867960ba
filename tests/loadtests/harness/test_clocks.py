"""A router's clock is wrong by what it was told, while it runs; its monotonic clock is of another host's start."""

import asyncio
import sys
import time
from pathlib import Path

import pytest

from loadtests.harness.clocks import HOUR_S, Clock, missing

SHOWN = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"
pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


async def test_a_clock_is_set_while_the_process_runs(tmp_path: Path) -> None:
    clock = Clock(tmp_path, 1)
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*clock.command, sys.executable, "-c", SHOWN, stdin=pipe, stdout=pipe)
    assert child.stdin is not None and child.stdout is not None

    async def ahead() -> tuple[float, float]:
        child.stdin.write(b"\n")  # type: ignore[union-attr]
        wall, monotonic = map(float, (await child.stdout.readline()).split())  # type: ignore[union-attr]
        return wall - time.time(), monotonic - time.monotonic()

    wall, monotonic = await ahead()
    assert wall == pytest.approx(0, abs=5)
    assert monotonic == pytest.approx(7 * HOUR_S, abs=5)
    await clock.set(-60)
    assert (await ahead())[0] == pytest.approx(-60, abs=5)
    await clock.set(60)
    wall, monotonic = await ahead()
    assert wall == pytest.approx(60, abs=5)
    assert monotonic == pytest.approx(7 * HOUR_S, abs=5)
    child.stdin.close()
    await child.wait()
