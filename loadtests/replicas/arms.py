"""The ways of running routers that are compared."""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from loadtests.endurance.processes import Engine, Router, ports, total, until
from loadtests.endurance.report import Ticks
from loadtests.endurance.results import Result
from loadtests.redis_server import RedisProcess
from loadtests.replicas.courses import Course
from loadtests.replicas.outcome import Outcome
from loadtests.replicas.replay import WARM_TURNS, Replay, Tokens

WORKERS = 8
PROFILE = "qwen3-32b-2xh100"
SECRET = "of-the-replicas"
LOADED_S = 60.0
MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What every arm replays."""

    courses: Sequence[Course]
    pause_s: float
    tokenizer: str
    turns: int
    seed: int = 7
    """Of the draws: which router, and when."""

    def replay(self, targets: Sequence[int]) -> Replay:
        """On these ports, with the same pauses for every arm."""
        return Replay(targets, self.courses, self.pause_s, random.Random(self.seed))

    @property
    def router_flags(self) -> tuple[str, ...]:
        """What all routers are given."""
        tokenizer = "off" if self.tokenizer == "bytes" else self.tokenizer
        return ("--tokenizer", tokenizer, "--prefill-rate", "20480")


@asynccontextmanager
async def running_engines(tokenizer: str) -> AsyncIterator[list[Engine]]:
    """Eight engines."""
    async with AsyncExitStack() as stack:
        engines = [Engine(port, "--tokenizer", tokenizer, "--profile", PROFILE) for port in ports(WORKERS)]
        for engine in engines:
            engine.start()
            stack.push_async_exit(engine)
        for engine in engines:
            await engine.wait_ready()
        yield engines


async def pinned_arm(plan: Plan, engines: Sequence[Engine]) -> Outcome:
    """No router: every session has a worker of its own choice, as many on each. What routing could reach at best."""
    await _forget(engines)
    courses = {course.bodies[0]: engines[i % len(engines)].port for i, course in enumerate(plan.courses)}
    by_body = {body: courses[course.bodies[0]] for course in plan.courses for body in course.bodies}
    replay = plan.replay([engines[0].port])
    replay.port_of = by_body.__getitem__
    return await _steady("pinned, no router", plan, replay, engines)


async def routers_arm(plan: Plan, engines: Sequence[Engine], count: int, shared: bool) -> Outcome:
    """`count` routers, each request to one of them at random."""
    await _forget(engines)
    name = f"{count} router{'s' if count > 1 else ''}, {'one index' if shared else 'private indexes'}"
    async with AsyncExitStack() as stack:
        routers = await _routers(plan, engines, count, stack, shared)
        return await _steady(name, plan, plan.replay([router.port for router in routers]), engines)


async def minute_arm(plan: Plan, engines: Sequence[Engine], count: int, restart: bool) -> Outcome:
    """A minute in the middle of the sessions. With `restart` all routers are killed before it and started again, Redis
    is kept; without, the same turns and draws show what would have been."""
    await _forget(engines)
    third = WARM_TURNS + (plan.turns - WARM_TURNS) // 3
    name = f"{count} routers, {'first minute after all were killed' if restart else 'the same minute, none killed'}"
    async with AsyncExitStack() as stack:
        routers = await _routers(plan, engines, count, stack, True)
        replay = plan.replay([router.port for router in routers])
        await replay.turns(0, third)
        for router in routers if restart else ():
            router.kill()
        for router in routers if restart else ():
            router.start()
        await asyncio.gather(*(_until_ready(router) for router in routers))
        return await _measure(name, replay, engines, range(third, plan.turns), MINUTE_S)


async def _steady(name: str, plan: Plan, replay: Replay, engines: Sequence[Engine]) -> Outcome:
    await replay.turns(0, WARM_TURNS)
    return await _measure(name, replay, engines, range(WARM_TURNS, plan.turns))


async def _measure(
    name: str, replay: Replay, engines: Sequence[Engine], turns: range, within_s: float = math.inf
) -> Outcome:
    """What happens to these turns, in the first `within_s` seconds."""
    before, ticks, began = await Tokens.now(engines), Ticks.now(), time.perf_counter()
    running = asyncio.create_task(replay.turns(turns.start, turns.stop))
    await asyncio.wait((running,), timeout=None if within_s == math.inf else within_s)
    lasted_s, tokens = time.perf_counter() - began, (await Tokens.now(engines)).since(before)
    busy = Ticks.now().since(ticks)
    results: list[Result] = [each for each in await running if each.started_at < began + within_s]
    print(f"{name}: hit rate {100 * tokens.hit_rate:.2f} %, {len(results)} requests, {busy}", flush=True)
    return Outcome(name, results, tokens, lasted_s)


async def _routers(
    plan: Plan, engines: Sequence[Engine], count: int, stack: AsyncExitStack, shared: bool
) -> list[Router]:
    flags = list(plan.router_flags)
    if shared:
        redis = await stack.enter_async_context(RedisProcess())
        flags += ["--redis", redis.url, "--index-secret", SECRET]
    routers = [Router(port, engines, *flags) for port in ports(count)]
    for router in routers:
        router.start()
        stack.push_async_exit(router)
    await asyncio.gather(*(_until_ready(router) for router in routers))
    return routers


async def _until_ready(router: Router) -> None:
    """It knows its workers and has its tokenizer: what came before would be text to it."""
    await router.wait_ready()

    async def loaded() -> bool:
        metrics = await router.metrics()
        return "warmroute_tokenizers_loading" in metrics and not total(metrics, "warmroute_tokenizers_loading")

    await until(loaded, LOADED_S, f"{router.url} has no tokenizer")


async def _forget(engines: Sequence[Engine]) -> None:
    for engine in engines:
        await engine.call("POST", "/emulator/restart")
