"""Where a worker should publish its KV events: does anything listen there?"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from router.check.finding import Finding
from router.fleet.worker import Worker
from router.kv_events.follower import ports_of
from router.kv_events.rules import EventRule, rule_of

CONNECT_S = 3.0
SAYS_NOTHING = "it does not say where it publishes KV events"
FLAG = (
    "vLLM: --kv-events-config with enable_kv_cache_events; before 0.32 give its ports as --kv-events PORT/REPLAY_PORT"
)


async def of_events(worker: Worker, rules: Sequence[EventRule]) -> list[Finding]:
    """Nothing where none are expected."""
    ports = ports_of(worker, rules)
    if ports is None:
        wanted = rule_of(worker.url, rules).mode == "on" and worker.facts is not None and worker.facts.prefix_caching
        return [Finding("error", worker.url, SAYS_NOTHING, FLAG)] if wanted else []
    host = urlsplit(worker.url).hostname or ""
    closed = [port for port in (ports.events, ports.repeats) if port and not await _listens(host, port)]
    if closed:
        text = f"nothing listens for KV events at port {' and '.join(map(str, closed))} of {host}"
        return [Finding("error", worker.url, text, "let the engine listen at tcp://*:PORT, and open the port")]
    return [Finding("ok", worker.url, f"publishes KV events at port {ports.events}")]


async def _listens(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True
