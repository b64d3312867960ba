"""Redis: can it be reached, may the router do there what it does, and will it keep what is written?"""

import asyncio
import random
import re
from collections.abc import Iterator

from router.build.basics import Basics
from router.check.finding import Finding
from router.shared.address import parse_address
from router.shared.check import SecretCheck
from router.shared.counters import LinkCounters
from router.shared.failure import Failure, FailureKind
from router.shared.link import Link, LinkLimits
from router.shared.script import command

WAIT_S = 5.0
MOST = re.compile(rb"^maxmemory:(\d{1,18})\r?$", re.MULTILINE)
POLICY = re.compile(rb"^maxmemory_policy:([a-z-]{1,40})\r?$", re.MULTILINE)
RIGHTS = "give the router's user the rights that docs/operations.md lists"


async def of_redis(basics: Basics, wait_s: float = WAIT_S) -> list[Finding]:
    """Nothing is left there but the proof of the secret, which routers write too."""
    settings = basics.settings
    password = settings.redis_password.value if settings.redis_password else ""
    counters = LinkCounters(basics.instruments.restarts)
    limits = LinkLimits(settings.redis_timeout_ms / 1000)
    link = Link(parse_address(settings.redis, password), basics.keys.check, limits, counters, random.Random())
    async with link:
        for _ in range(int(wait_s / 0.05)):
            if link.connected:
                return [*await _rights(link, basics), *await _secret(link, basics)]
            await asyncio.sleep(0.05)
    advice = "is the URL of --redis right, its user and password, and the server up?"
    return [Finding("error", "redis", link.problem or "no connection", advice)]


async def _rights(link: Link, basics: Basics) -> list[Finding]:
    key = basics.keys.check + "-tried"
    tried = {
        "write": command("SET", key, "1", "EX", 5),
        "run scripts": command("EVAL", "return redis.call('GET', KEYS[1])", 1, key),
        "report its memory": command("INFO", "memory"),
    }
    replies = {what: await link.tell(words) for what, words in tried.items()}
    denied = [
        Finding("error", "redis", f"it does not let the router {what}: {reply.detail or reply.kind.value}", RIGHTS)
        for what, reply in replies.items()
        if isinstance(reply, Failure) and reply.kind is not FailureKind.SLOW
    ]
    memory = replies["report its memory"]
    return denied or [
        Finding("ok", "redis", f"connected to {link.address.redacted}, with the rights that are needed"),
        *(_kept(memory, basics.settings.redis_max_memory_bytes) if isinstance(memory, bytes) else ()),
    ]


def _kept(info: bytes, ours: int) -> Iterator[Finding]:
    told_most, told_policy = MOST.search(info), POLICY.search(info)
    most = int(told_most[1]) if told_most is not None else 0
    policy = told_policy[1].decode() if told_policy is not None else "not told"
    if policy != "noeviction":
        yield Finding(
            "warning", "redis", f"maxmemory-policy is {policy}: it drops what routers share", "set noeviction"
        )
    if most and most <= ours:
        text = f"maxmemory is {most:,} bytes, and routers write up to {ours:,}"
        yield Finding("warning", "redis", text, "raise maxmemory, or lower --redis-max-memory-bytes")


async def _secret(link: Link, basics: Basics) -> list[Finding]:
    if await SecretCheck(link, basics.keys, basics.secret).run() is False:
        text = "the routers there use another index_secret: nothing is shared with them"
        return [Finding("error", "redis", text, "the same --index-secret on all routers, or another --redis-prefix")]
    return []
