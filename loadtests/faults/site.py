"""What the cases break: engines, routers, Redis and the proxy before it, and the load on them."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from loadtests.endurance.client import ask, chat
from loadtests.endurance.processes import MODEL, Engine, Router, ports
from loadtests.endurance.results import End, Result
from loadtests.faults.proxy import Proxy
from loadtests.redis_server import RedisProcess

ROUTERS = 3
WORKERS = 4
ENGINE = ("--tokenizer", "bytes", "--block-tokens", "64", "--profile", "qwen3-32b-2xh100")
SECRET = "of-the-faults"
WORDS = 2500
"""Of a conversation's first message: about 15 KB."""
ANSWER_TOKENS = 16
PAUSE_S = 0.5


@dataclass(slots=True)
class Site:
    """All processes. Cases may replace ports in `open_ports` when a router is gone."""

    redis: RedisProcess
    proxy: Proxy
    engines: Sequence[Engine]
    routers: Sequence[Router]
    open_ports: list[int]

    async def everywhere(self, name: str) -> float:
        """A metric, summed over the routers that are there."""
        pages = [await router.metrics() for router in self.routers if router.port in self.open_ports]
        return sum(sum(page.get(name, {}).values()) for page in pages)


@asynccontextmanager
async def running_site(**redis: str) -> AsyncIterator[Site]:
    """Routers reach Redis through the proxy, and nothing else does."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(RedisProcess(**redis))
        proxy = await stack.enter_async_context(Proxy(server.port))
        flags = ("--redis", f"redis://127.0.0.1:{proxy.port}", "--index-secret", SECRET, "--tokenizer", "off")
        numbers = ports(WORKERS + ROUTERS)
        engines = [Engine(port, *ENGINE) for port in numbers[:WORKERS]]
        routers = [Router(port, engines, *flags) for port in numbers[WORKERS:]]
        for process in (*engines, *routers):
            process.start()
            stack.push_async_exit(process)
        for process in (*engines, *routers):
            await process.wait_ready()
        yield Site(server, proxy, engines, routers, [router.port for router in routers])


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
