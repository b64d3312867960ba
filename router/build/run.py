"""Runs one router process from its start to its drain: logging, the event loop, the garbage collector, signals."""

import asyncio
import gc
import logging
import os
import sys

import uvloop

from router.build.app import Router
from router.build.tuning import DEFAULTS, Tuning
from router.processes.process_config import ProcessConfig, on_orphaned
from router.settings import Settings

log = logging.getLogger("warmroute")

SWITCH_INTERVAL_S = 0.0005
"""A thread that renders a template in Python gives the GIL back this soon; the default of 5 ms would stall the loop."""
GC_THRESHOLDS = (5_000, 5, 1_000_000)
"""What lives long here (the index, the conversations) is not cyclic, and going through 190,000 nodes takes 130 ms: the
oldest generation is left alone, and the middle one never has more than 30,000. Cycles of failed requests die young."""


def serve(settings: Settings, config: ProcessConfig | None = None, tuning: Tuning = DEFAULTS) -> None:
    """Run a router until it gets a signal to stop. `config` is given to one of several processes. Returns after
    draining."""
    origin = f"%(name)s [{config.number}]" if config else "%(name)s"
    logging.basicConfig(
        level=settings.log_level.upper(), stream=sys.stderr, format=f"%(asctime)s %(levelname)s {origin}: %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads spin for work that one prompt does not have
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings, config, tuning))


async def run(settings: Settings, config: ProcessConfig | None = None, tuning: Tuning = DEFAULTS) -> None:
    """The router's whole life inside a running event loop."""
    router = Router(settings, sys.stdout.buffer if settings.access_log else None, config, tuning)
    async with router:
        server = router.server
        server.drain_on_signals()
        if config is not None:
            on_orphaned(server.drain)
        await router.warm()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        log.info("serving on %s:%d with policy %s", settings.host, settings.port, settings.policy)
        await server.serve(config.sockets() if config else None)
