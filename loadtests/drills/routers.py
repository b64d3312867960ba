"""Drill `routers`: users with twice the sessions that fit, over one, three and five routers on one Redis; and what
breaks in between.

Each turn goes to a router at random. Several must do as one: the same turns per second, the same longest wait, and no
worker with more than one session too many.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from loadtests.drills.session_users import Asked, Users
from loadtests.harness.processes import Engine, Router
from loadtests.harness.redis_server import RedisProcess
from loadtests.laboratory.markdown import Table, number
from loadtests.ports import ports
from router.shared.keys import Keys

COUNTS = (1, 3, 5)
ENGINES = 2
KV_TOKENS = 40_960
USERS = 20
"""About ten of their sessions fit."""
WARM_S = 20.0
ENGINE = (
    "--tokenizer",
    "bytes",
    "--profile",
    "qwen3-32b-2xh100",
    "--block-tokens",
    "64",
    "--kv-tokens",
    str(KV_TOKENS),
)
FLAGS = ("--tokenizer", "off", "--session-wait-s", "20", "--queue-timeout-s", "600", "--index-secret", "drill")
LOOK_S = 0.5
RIGHT_S = 15.0
KEYS = Keys("warmroute")


@dataclass(slots=True)
class Seen:
    """What the routers said while users played."""

    most_over: float = 0.0
    """Tokens of sessions inside beyond the room, at any worker, as any router says."""
    outcomes: dict[str, float] = field(default_factory=dict)
    """Room that was asked for, by outcome."""
    looks: int = 0
    alone: int = 0
    """Looks at which a router admitted into its share of the memory alone: it had not heard from Redis for a second."""
    cpu_s: float = 0.0


async def run(seconds: float) -> list[Table]:
    """About four times `seconds`, and two minutes."""
    rows = [_row(count, *await _played(count, seconds), seconds) for count in COUNTS]
    head = (
        "routers",
        "turns/s",
        "cached, %",
        "TTFT mean, s",
        "p90, s",
        "longest wait, s",
        "oldest without an answer, s",
    )
    more = (
        "not answered",
        "most tokens too many at a worker",
        "room asked: yes, no, unsure",
        "cut off from Redis, %",
        "router cores",
    )
    title = f"{USERS} users at twice the memory of {ENGINES} workers with {KV_TOKENS:,} KV tokens, {seconds:.0f} s"
    return [Table(title, (*head, *more), [*map(tuple, rows)]), await _broken()]


async def _played(count: int, seconds: float) -> tuple[Users, Seen]:
    async with _fleet(count) as (_, routers):
        users, seen = Users(USERS, routers), Seen()
        playing = asyncio.create_task(users.play(WARM_S + seconds))
        await asyncio.sleep(WARM_S)
        watching = [asyncio.create_task(_watch(router, seen)) for router in routers]
        cpu_s = sum(router.cpu_s() for router in routers)
        await playing
        seen.cpu_s = sum(router.cpu_s() for router in routers) - cpu_s
        for task in watching:
            task.cancel()
        await asyncio.wait(watching)
        for router in routers:
            for outcome, asked in (await router.metrics()).get("warmroute_session_room_asked_total", {}).items():
                seen.outcomes[outcome] = seen.outcomes.get(outcome, 0) + asked
    return users, seen


@asynccontextmanager
async def _fleet(count: int) -> AsyncIterator[tuple[RedisProcess, list[Router]]]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisProcess())
        router_ports, engine_ports = ports(count), ports(ENGINES)
        engines = [await stack.enter_async_context(Engine(port, *ENGINE)) for port in engine_ports]
        flags = (*FLAGS, "--redis", redis.url, "--redis-timeout-ms", "50")
        routers = [await stack.enter_async_context(Router(port, engines, *flags)) for port in router_ports]
        yield redis, routers


async def _watch(router: Router, seen: Seen) -> None:
    while True:
        metrics = await router.metrics()
        room = metrics.get("warmroute_session_room_tokens", {})
        alone = _is_alone(metrics)
        seen.looks, seen.alone = seen.looks + 1, seen.alone + alone
        for worker, tokens in () if alone else metrics.get("warmroute_session_tokens", {}).items():
            seen.most_over = max(seen.most_over, tokens - room.get(worker, tokens))
        await asyncio.sleep(LOOK_S)


def _row(count: int, users: Users, seen: Seen, seconds: float) -> list[str]:
    ends = max(asked.record.ended_s for asked in users.asked)
    measured = [asked for asked in users.asked if asked.record.ended_s >= ends - seconds]
    good = [asked.record for asked in measured if not asked.record.error]
    ttfts = sorted(record.ttft_s for record in good)
    prompts = sum(record.usage.prompt_tokens for record in good)
    cut = [ends - began for began in users.waiting.values()]
    return [
        str(count),
        f"{len(good) / seconds:.3f}",
        f"{100 * sum(max(0, record.usage.cached_tokens) for record in good) / max(1, prompts):.0f}",
        f"{sum(ttfts) / len(ttfts):.2f}",
        f"{ttfts[int(0.9 * len(ttfts))]:.1f}",
        f"{ttfts[-1]:.1f}",
        f"{max(cut, default=0.0):.1f}",
        str(len(measured) - len(good)),
        number(seen.most_over),
        ", ".join(f"{seen.outcomes.get(each, 0):.0f}" for each in ("yes", "no", "unsure")),
        f"{100 * seen.alone / max(1, seen.looks):.1f}",
        f"{seen.cpu_s / seconds:.2f}",
    ]


async def _broken() -> Table:
    """Three routers; Redis is killed, emptied, frozen and filled with nonsense, and a router is killed."""
    rows: list[list[str]] = []
    async with _fleet(3) as (redis, routers):
        users = Users(USERS, routers)
        playing = asyncio.create_task(users.play(3600.0))
        await asyncio.sleep(WARM_S)
        for name, harm in _harms(redis, routers, users):
            began, before = time.monotonic(), len(users.asked)
            await harm()
            healed = time.monotonic()
            alive = [routers[each] for each in sorted(users.alive)]
            right_s = await _agree(alive, healed)
            await asyncio.sleep(max(0.0, RIGHT_S - (time.monotonic() - healed)))
            rows.append(_phase(name, users.asked[before:], began, right_s))
        playing.cancel()
        await asyncio.wait([playing])
    head = (
        "what broke",
        "answers",
        "failed",
        "of these at the router that was killed",
        "longest wait, s",
        "all agree after, s",
    )
    return Table("Three routers, and what breaks under the same load", head, [*map(tuple, rows)])


def _harms(
    redis: RedisProcess, routers: Sequence[Router], users: Users
) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
    async def nothing() -> None:
        pass

    async def kill() -> None:
        redis.kill()
        await asyncio.sleep(8.0)
        await redis.start()

    async def empty() -> None:
        await redis.demand("FLUSHALL")

    async def freeze() -> None:
        redis.send(signal.SIGSTOP)
        await asyncio.sleep(8.0)
        redis.send(signal.SIGCONT)

    async def poison() -> None:
        for _ in range(50):
            await redis.ask("XADD", KEYS.sessions, "*", "r", "xxxx", "b", "y" * 100, "t", "1")
            await asyncio.sleep(0.05)
        await redis.demand("SET", KEYS.sessions, "x")

    async def kill_router() -> None:
        users.alive.discard(2)
        routers[2].kill()

    return [
        ("nothing", nothing),
        ("Redis killed for 8 s", kill),
        ("Redis emptied", empty),
        ("Redis frozen for 8 s", freeze),
        ("false entries, and another type", poison),
        ("a router killed", kill_router),
    ]


async def _agree(routers: Sequence[Router], since: float) -> float:
    """Until all routers give the whole memory, and say the same of each worker, at two looks in a row."""
    agreed = 0
    while agreed < 2 and time.monotonic() - since < 60:
        pages = await asyncio.gather(*(router.metrics() for router in routers))
        inside = [page.get("warmroute_sessions_inside", {}) for page in pages]
        together = not any(map(_is_alone, pages)) and all(each and _near(each, inside[0]) for each in inside)
        agreed = agreed + 1 if together else 0
        await asyncio.sleep(0.1)
    return time.monotonic() - since


def _is_alone(page: dict[str, dict[str, float]]) -> bool:
    """It gives its share of the memory alone."""
    return min(page.get("warmroute_session_room_tokens", {}).values(), default=0) < KV_TOKENS / 2


def _near(one: dict[str, float], other: dict[str, float]) -> bool:
    """Pages are not of one moment."""
    return one.keys() == other.keys() and all(abs(one[each] - other[each]) <= 1 for each in one)


def _phase(name: str, asked: Sequence[Asked], began: float, right_s: float) -> list[str]:
    records = [each.record for each in asked if each.record.ended_s >= began]
    failed = [each for each in asked if each.record.error]
    waits = [record.ttft_s for record in records if not record.error]
    at_killed = sum(each.router == 2 for each in failed) if "router" in name else 0
    return [
        name,
        str(len(records)),
        str(len(failed)),
        str(at_killed),
        f"{max(waits, default=0.0):.1f}",
        f"{right_s:.1f}",
    ]
