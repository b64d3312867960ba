"""What the cases break: engines, routers, Redis and the proxy before it, and the load on them."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from loadtests.harness.client import ask, chat
from loadtests.harness.clocks import Clock
from loadtests.harness.processes import MODEL, Engine, Router, until
from loadtests.harness.proxy import Proxy
from loadtests.harness.redis_server import HOST, RedisProcess
from loadtests.harness.redis_stores import PREFIX, Store, Stores
from loadtests.harness.results import End, Result
from loadtests.ports import ports

ROUTERS = 3
WORKERS = 4
ENGINE = ("--tokenizer", "bytes", "--block-tokens", "64", "--profile", "qwen3-32b-2xh100")
SECRET = "of-the-faults"
WORDS = 2500
"""Words of a conversation's first message: about 15 KB."""
READY_S = 30.0
ANSWER_TOKENS = 16
PAUSE_S = 0.5


@dataclass(slots=True)
class Site:
    """All processes. Cases may replace ports in `open_ports` when a router is gone."""

    store: Store
    engines: Sequence[Engine]
    routers: Sequence[Router]
    clocks: Sequence[Clock]
    """The routers', where the case is about clocks."""
    open_ports: list[int]

    @property
    def redis(self) -> RedisProcess:
        """The server that is in charge at the start."""
        return self.store.servers[0]

    @property
    def proxy(self) -> Proxy:
        """Before it."""
        return self.store.proxy

    async def everywhere(self, name: str) -> float:
        """A metric, summed over the routers that are there."""
        pages = [await router.metrics() for router in self.routers if router.port in self.open_ports]
        return sum(sum(page.get(name, {}).values()) for page in pages)

    async def ready(self) -> None:
        """All routers are there, and share what they know."""

        async def sharing() -> bool:
            up, routers = await self.everywhere("warmroute_redis_up"), await self.everywhere("warmroute_routers")
            return (up, routers) == (ROUTERS, ROUTERS**2)  # each counts all that live

        await until(sharing, READY_S, "the routers do not find each other")


@asynccontextmanager
async def running_site(stores: Stores, clocks: bool = False) -> AsyncIterator[Site]:
    """Engines, routers, and what these share. With `clocks` each router has one of its own."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(stores())
        shared = ("--redis", store.url, "--redis-prefix", PREFIX, "--index-secret", SECRET)
        flags = (*shared, "--tokenizer", "off", "--worker-allow", HOST)
        numbers = ports(WORKERS + ROUTERS)
        engines = [Engine(port, *ENGINE) for port in numbers[:WORKERS]]
        routers = [Router(port, engines, *flags) for port in numbers[WORKERS:]]
        folder = Path(stack.enter_context(TemporaryDirectory()))
        own = [Clock(folder, number) for number in range(ROUTERS)] if clocks else []
        for router, clock in zip(routers, own, strict=False):
            router.under = clock.command
        for process in (*engines, *routers):
            process.start()
            stack.push_async_exit(process)
        for process in (*engines, *routers):
            await process.wait_ready()
        site = Site(store, engines, routers, own, [router.port for router in routers])
        await site.ready()
        yield site


class Load:
    """Conversations that grow, each request through a router at random, until stopped."""

    def __init__(self, site: Site, conversations: int) -> None:
        self.results: list[Result] = []
        self.cut = 0
        """Answers that ended with the router that was killed."""
        self._site = site
        self._stopping = asyncio.Event()
        self._tasks = [asyncio.create_task(self._converse(number)) for number in range(conversations)]

    async def stop(self) -> list[Result]:
        """Let what runs end."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)
        return self.results

    async def _converse(self, number: int) -> None:
        rng = random.Random(number)
        text = ""
        turn = 0
        while not self._stopping.is_set():
            if turn % 20 == 0:
                text = f"Conversation {number}.{turn} {rng.random()} " + "so it goes " * (WORDS // 3)
            text += f" And turn {turn} brings {rng.random()} something new." * 20
            turn += 1
            await self._ask(chat(MODEL, text, ANSWER_TOKENS), rng)
            await asyncio.sleep(PAUSE_S * rng.uniform(0.5, 1.5))

    async def _ask(self, body: bytes, rng: random.Random) -> None:
        """A balancer's client: what a killed router took with it is sent again to another one."""
        port = rng.choice(self._site.open_ports)
        result = await ask(port, body)
        if result.end is not End.COMPLETE and port not in self._site.open_ports:
            self.cut += 1
            result = await ask(rng.choice(self._site.open_ports), body)
        self.results.append(result)
