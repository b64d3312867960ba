"""Keeps one process running: it restarts the process after a wait, which grows while the process ends soon after its
start.

What must not be broken: a start that fails (no memory, process or file descriptor is left) is tried again like a
process that ended soon. The failure never reaches the supervisor, and so never the running processes.
"""

import asyncio
import logging
import signal
import subprocess
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable

FIRST_WAIT_S = 0.25
MAX_WAIT_S = 30.0
STEADY_S = 30.0
"""After a process that ran for this many seconds, the next wait is short again."""
log = logging.getLogger("warmroute")


class Keeper:
    """One process. `run` returns after `stop`, once it has ended."""

    def __init__(self, name: str, start: Callable[[], Awaitable[Process]], ended: Callable[[], None]) -> None:
        self.name = name
        self.starts = 0
        """Number of starts; the last process may still run."""
        self._start = start
        self._ended = ended
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._number = signal.SIGTERM

    async def run(self) -> None:
        """Keep it running until stopped. `ended` is called each time that the process has ended."""
        loop = asyncio.get_running_loop()
        wait_s = FIRST_WAIT_S
        while not self._stopping.is_set():
            began = loop.time()
            end = await self._once()
            if self._stopping.is_set():
                break
            wait_s = FIRST_WAIT_S if loop.time() - began > STEADY_S else wait_s
            log.error("%s %s, starting again in %.2f s", self.name, end, wait_s)
            await self._pause(wait_s)
            wait_s = min(MAX_WAIT_S, 2 * wait_s)

    def stop(self, number: signal.Signals) -> None:
        """Send this signal to the running process, or to the one that is being started, and start no other."""
        self._stopping.set()
        self._number = number
        self._signal()

    async def _once(self) -> str:
        """Start it and wait for its end. Returns in words how it ended."""
        try:
            self._process = await self._start()
        except (OSError, subprocess.SubprocessError) as error:
            return f"could not be started ({error})"
        self.starts += 1
        if self._stopping.is_set():
            self._signal()
        code = await self._process.wait()
        self._process = None
        self._ended()
        return f"ended ({_cause(code)})"

    def _signal(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(self._number)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass


def _cause(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
