"""Builds what is shared through Redis: the link, and the prefix index on it. Part of `app`."""

import time
from random import Random

from router.observe.metrics import Gauge, Instruments
from router.prefix.holders import Holders
from router.prefix.residency import Limits
from router.prefix.shared import SharedIndex, SharedParts
from router.prefix.tree import TreeIndex
from router.prefix.upkeep import Upkeep
from router.prefix.verbs import SharedLimits, Verbs
from router.prefix.writer import SharedWriter
from router.prompts.recall import Recall, RecallLimits
from router.settings import Settings
from router.shared.address import parse_address
from router.shared.check import SecretCheck
from router.shared.counters import LinkCounters
from router.shared.keys import Keys
from router.shared.link import Link, LinkLimits
from router.shared.seal import Seal


def make_link(settings: Settings, counters: LinkCounters, rng: Random) -> Link:
    """The connection to the server that `redis` names."""
    password = settings.redis_password.value if settings.redis_password else ""
    address = parse_address(settings.redis, password)
    return Link(address, Keys(settings.redis_prefix).check, LinkLimits(settings.redis_timeout_ms / 1000), counters, rng)


class Sharing:
    """The shared index and its upkeep, and what is known of conversations."""

    def __init__(self, settings: Settings, link: Link, limits: Limits, instruments: Instruments, rng: Random) -> None:
        keys = Keys(settings.redis_prefix)
        shared = SharedLimits(
            default_capacity_blocks=limits.default_capacity_blocks,
            pending_ttl_s=limits.pending_ttl_s,
            ttl_s=round(settings.redis_ttl_s),
            max_memory_bytes=settings.redis_max_memory_bytes,
        )
        local = TreeIndex(limits, time.monotonic, instruments.report_records)
        holders = Holders(time.monotonic, limits.default_capacity_blocks)
        verbs = Verbs(keys, shared)
        writer = SharedWriter(link, verbs, holders, local, rng.randrange)
        assert settings.index_secret is not None  # `conflicts` sees to it
        secret = settings.index_secret.value.encode()
        check = SecretCheck(link, keys, secret)
        parts = SharedParts(local, link, verbs, holders, writer, instruments.fallbacks)
        self.holders = holders
        self.index = SharedIndex(parts, time.monotonic, instruments.report_records)
        seal = Seal(secret, settings.redis_prefix, "conversation")
        self.recall = Recall(link, keys, seal, RecallLimits(shared.ttl_s, lambda: writer.room), instruments.recalled)
        self.upkeep = Upkeep(self.index, link, check, shared)


def make_sharing(
    settings: Settings, link: Link | None, limits: Limits, instruments: Instruments, rng: Random
) -> Sharing | None:
    """The shared index, where there is a link."""
    return Sharing(settings, link, limits, instruments, rng) if link is not None else None


def sharing_gauges(sharing: Sharing | None) -> list[Gauge]:
    """What operators see of it; zero where there is none."""
    return [
        (
            "warmroute_index_queued",
            "Records that wait to be written to Redis.",
            lambda: len(sharing.index.batcher) if sharing else 0,
        ),
        (
            "warmroute_index_told_total",
            "Chains written again after Redis lost them.",
            lambda: sharing.upkeep.restored if sharing else 0,
        ),
        (
            "warmroute_redis_memory_bytes",
            "Memory of the Redis server.",
            lambda: sharing.upkeep.used_bytes if sharing else 0,
        ),
    ]
