"""What one book of sessions over all routers costs: CPU time per request of routers with it, over that of routers of
which each knows its own sessions alone. In pairs: both groups stand in front of the same engines, and get the same
requests in turn.

python -m loadtests.evidence.bench_book --routers 2 --pairs 8 --seconds 3
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import aiohttp
import msgspec
import uvloop

from loadtests.evidence.rivals.sessions import text
from loadtests.harness.machine import machine
from loadtests.harness.processes import MODEL, Engine, Router
from loadtests.harness.redis_server import RedisProcess
from loadtests.ports import ports
from router import cli
from router.build import app

CONNECTIONS = 8
TURNS = 8
PROMPT_BYTES, MORE_BYTES = 24_000, 500
ENGINE = ("--tokenizer", "bytes", "--speed", "2000", "--block-tokens", "64", "--kv-tokens", "4000000")
FLAGS = ("--tokenizer", "off", "--index-secret", "bench", "--redis-timeout-ms", "50")
SETTLE_S = 3.0
REST_S = 0.3
WITHOUT = "without-book"


class LoneRouter(Router):
    """A router without the book."""

    def start(self) -> None:
        self._command[self._command.index("router")] = "loadtests.evidence.bench_book"
        self._command.insert(self._command.index("serve"), WITHOUT)
        super().start()


async def _user(http: aiohttp.ClientSession, routers: Sequence[Router], seed: str, until_s: float) -> int:
    rng, done = random.Random(seed), 0
    while time.monotonic() < until_s:
        messages = [{"role": "user", "content": f"{rng.random()} {text(rng.getrandbits(32), PROMPT_BYTES)}"}]
        for _ in range(TURNS):
            body = {"model": MODEL, "messages": messages, "max_tokens": 16, "stream": True}
            url = f"{rng.choice(routers).url}/v1/chat/completions"
            async with http.post(url, data=msgspec.json.encode(body)) as answer:
                await answer.read()
                answer.raise_for_status()
            done += 1
            messages += [
                {"role": role, "content": text(rng.getrandbits(32), MORE_BYTES)} for role in ("assistant", "user")
            ]
            if time.monotonic() >= until_s:
                break
    return done


async def _cost_us(http: aiohttp.ClientSession, routers: Sequence[Router], seed: int, seconds: float) -> float:
    """CPU microseconds per request, with what is left to do after them."""
    before, until_s = sum(router.cpu_s() for router in routers), time.monotonic() + seconds
    users = [_user(http, routers, f"{seed} {number}", until_s) for number in range(CONNECTIONS)]
    done = sum(await asyncio.gather(*users))
    await asyncio.sleep(REST_S)
    return (sum(router.cpu_s() for router in routers) - before) / done * 1e6


async def _measure(count: int, pairs: int, seconds: float) -> None:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisProcess())
        engines = [await stack.enter_async_context(Engine(port, *ENGINE)) for port in ports(2)]
        arms: list[list[Router]] = []
        for kind in (LoneRouter, Router):
            flags = (*FLAGS, "--redis", redis.url, "--redis-prefix", kind.__name__.lower())
            routers = [kind(port, engines, *flags) for port in ports(count)]
            arms.append([await stack.enter_async_context(router) for router in routers])
        http = await stack.enter_async_context(aiohttp.ClientSession(headers={"content-type": "application/json"}))
        await asyncio.sleep(SETTLE_S)
        costs: list[tuple[float, float]] = []
        for number in range(pairs + 1):
            found = {}
            for arm in (0, 1) if number % 2 else (1, 0):
                found[arm] = await _cost_us(http, arms[arm], number, seconds)
            costs.append((found[0], found[1]))
        ratios = sorted(book / alone for alone, book in costs[1:])
        alone, book = (statistics.median(column) for column in zip(*costs[1:], strict=True))
        print(f"{count} routers: {alone:.0f} us per request alone, {book:.0f} with the book; ratio in the median of")
        print(f"{pairs} pairs {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}). {machine()}.")


def main() -> int:
    """Measure; or, as a router of the other group, serve."""
    if WITHOUT in sys.argv:
        sys.argv.remove(WITHOUT)
        vars(app)["make_book_exchange"] = lambda *_: None
        return cli.main()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routers", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each half of a pair")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_measure(options.routers, options.pairs, options.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
