"""What breaks. Each case breaks it, waits, and mends it; the load goes on meanwhile and afterwards."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from loadtests.drills.fault_site import ROUTERS, Site
from loadtests.harness.clocks import missing
from loadtests.harness.processes import until
from loadtests.harness.redis_stores import Stores, clustered, single, watched

LASTS_S = 10.0
FOUND_S = 45.0
"""Longest wait for a promotion: sentinels on a machine that is held up promote no replica for 30 s (TILT)."""
MINUTE_S = 60
AGREED_S = 30.0
"""Longest wait for all routers to know a decision, which they must after a second; but the machine may be busy."""


class Case(NamedTuple):
    """One fault. `strike` returns what is worth saying of it, or ""."""

    name: str
    strike: Callable[[Site], Awaitable[str]]
    stores: Stores = single
    """The kind of Redis."""
    clocks: bool = False
    """Routers have clocks of their own."""

    def lacking(self) -> str:
        """What this machine lacks for it, or ""."""
        return missing() if self.clocks else ""


async def nothing(site: Site) -> str:
    """Break nothing, for comparison."""
    await asyncio.sleep(LASTS_S)
    return ""


async def killed_empty(site: Site) -> str:
    """Killed, away for 10 s, and back without its data."""
    site.redis.kill()
    await asyncio.sleep(LASTS_S)
    await site.redis.start()
    return ""


async def killed_with_data(site: Site) -> str:
    """Saved, killed, away for 10 s, and back with its data."""
    await site.redis.ask("SAVE")
    site.redis.kill()
    await asyncio.sleep(LASTS_S)
    await site.redis.start()
    return f"{await site.redis.ask('DBSIZE')} keys"


async def frozen(site: Site) -> str:
    """Stopped: connections stay open and nothing is answered."""
    site.redis.send(signal.SIGSTOP)
    await asyncio.sleep(LASTS_S)
    site.redis.send(signal.SIGCONT)
    return ""


def late(seconds: float) -> Callable[[Site], Awaitable[str]]:
    """Every reply comes `seconds` later."""

    async def strike(site: Site) -> str:
        site.proxy.delay_s = seconds / 2
        await asyncio.sleep(LASTS_S)
        site.proxy.delay_s = 0.0
        return ""

    return strike


async def resets(site: Site) -> str:
    """All connections are reset, five times a second."""
    for _ in range(int(LASTS_S * 5)):
        site.proxy.reset()
        await asyncio.sleep(0.2)
    return ""


async def flushed(site: Site) -> str:
    """FLUSHALL, once a second."""
    for _ in range(int(LASTS_S)):
        await site.redis.ask("FLUSHALL")
        await asyncio.sleep(1)
    return ""


async def full(site: Site) -> str:
    """Its memory is full, and nothing is evicted."""
    await site.redis.ask("CONFIG", "SET", "maxmemory", "1")
    await asyncio.sleep(LASTS_S)
    await site.redis.ask("CONFIG", "SET", "maxmemory", "0")
    return ""


async def failed_over(site: Site) -> str:
    """It becomes a replica of a server that is not there, and refuses writes (READONLY); then it is a master again."""
    await site.redis.ask("REPLICAOF", "127.0.0.1", "1")
    await asyncio.sleep(LASTS_S)
    await site.redis.ask("REPLICAOF", "NO", "ONE")
    return ""


async def scripts_flushed(site: Site) -> str:
    """SCRIPT FLUSH, four times a second."""
    for _ in range(int(LASTS_S * 4)):
        await site.redis.ask("SCRIPT", "FLUSH")
        await asyncio.sleep(0.25)
    return ""


async def router_killed(site: Site) -> str:
    """SIGKILL for one of three routers, in the middle of its requests. Says when its load is gone from the others."""
    dead = site.routers[0]
    site.open_ports.remove(dead.port)
    dead.kill()

    async def forgotten() -> bool:
        return await site.everywhere("warmroute_routers") == len(site.open_ports) ** 2  # each counts all that live

    gone_s = await until(forgotten, LASTS_S, "a killed router's load stays")
    await asyncio.sleep(max(0.0, LASTS_S - gone_s))
    dead.start()
    await dead.wait_ready()
    site.open_ports.append(dead.port)
    return f"its load gone after {gone_s:.1f} s"


async def promoted(site: Site) -> str:
    """The server in charge is killed, its replica is promoted, and it comes back as a replica. Says when all routers
    have found the new one."""
    site.redis.kill()
    found_s = await _followed(site)
    await asyncio.sleep(max(0.0, LASTS_S - found_s))
    await site.redis.start()
    return f"followed after {found_s:.1f} s"


async def promoted_beside(site: Site) -> str:
    """The primary is frozen and its replica is promoted; then the old primary continues and is demoted."""
    site.redis.send(signal.SIGSTOP)
    found_s = await _followed(site)
    await asyncio.sleep(max(0.0, LASTS_S - found_s))
    site.redis.send(signal.SIGCONT)
    return f"followed after {found_s:.1f} s"


async def _followed(site: Site) -> float:
    began = time.perf_counter()

    async def left() -> bool:
        return await site.everywhere("warmroute_redis_up") == 0

    async def found() -> bool:
        return await site.everywhere("warmroute_redis_up") == ROUTERS

    await until(left, LASTS_S, "the routers do not notice that their Redis is gone")
    await until(found, FOUND_S, "the routers do not find the new one")
    return time.perf_counter() - began


async def clocks_apart(site: Site) -> str:
    """One router's clock jumps a minute ahead, another's a minute back, and back again; operators decide through both
    meanwhile. Says when a killed router's load is gone from the others."""
    ahead, behind, _ = site.routers
    await asyncio.gather(site.clocks[0].set(MINUTE_S), site.clocks[1].set(-MINUTE_S))
    first, second, *_ = site.engines
    took = []
    for router, step in ((ahead, "drain"), (behind, "undrain"), (ahead, "drain"), (behind, "undrain")):
        await router.operate("POST", f"/admin/workers/{first.worker}/{step}")
        took.append(await _agreed(site, "warmroute_worker_draining", int(step == "drain")))
    await behind.operate("DELETE", f"/admin/workers/{second.worker}")
    took.append(await _agreed(site, "warmroute_worker_healthy", len(site.engines) - 1))
    await ahead.operate("POST", "/admin/workers", {"url": second.url})
    await _agreed(site, "warmroute_worker_healthy", len(site.engines))
    said = await router_killed(site)
    await asyncio.gather(site.clocks[0].set(0), site.clocks[1].set(0))
    return f"{said}; decisions everywhere after {max(took):.1f} s"


async def _agreed(site: Site, gauge: str, value: int) -> float:
    """Wait until all routers show it. Returns the seconds that took."""

    async def shown() -> bool:
        return await site.everywhere(gauge) == ROUTERS * value

    return await until(shown, AGREED_S, f"the routers do not agree that {gauge} is {value}")


CASES = (
    Case("nothing breaks", nothing),
    Case("Redis killed for 10 s, back empty", killed_empty),
    Case("Redis killed for 10 s, back with its data", killed_with_data),
    Case("Redis frozen (SIGSTOP) for 10 s", frozen),
    Case("50 ms more latency", late(0.05)),
    Case("500 ms more latency", late(0.5)),
    Case("connections reset, 5 a second", resets),
    Case("FLUSHALL, each second", flushed),
    Case("memory full (noeviction)", full),
    Case("READONLY for 10 s", failed_over),
    Case("scripts flushed, 4 a second", scripts_flushed),
    Case("a router killed (SIGKILL)", router_killed),
    Case("clocks a minute ahead and behind", clocks_apart, clocks=True),
    Case("Sentinel: primary killed, replica promoted", promoted, watched),
    Case("Sentinel: primary frozen, replica promoted", promoted_beside, watched),
    Case("Cluster: primary killed, replica promoted", promoted, clustered),
)
