"""How late the event loop gets round to a timer: every stall shows up as latency of all requests at once."""

import asyncio
import time

from router.observe.instruments import Histogram

PERIOD_S = 0.02
BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class LoopLag(Histogram):
    """A histogram of that lateness, one value each 20 ms, and the worst."""

    def __init__(self) -> None:
        super().__init__("warmroute_loop_lag_seconds", "How late the event loop woke up.", bounds=BOUNDS_S)
        self.worst_s = 0.0

    async def run(self) -> None:
        """Measure for ever."""
        while True:
            due = time.perf_counter() + PERIOD_S
            await asyncio.sleep(PERIOD_S)
            late = max(0.0, time.perf_counter() - due)
            self.observe(late)
            self.worst_s = max(self.worst_s, late)
