"""What is shared through Redis: the link, the load of other routers, the prefix index, what is known of conversations,
and what clients use elsewhere."""

import secrets
import time
from dataclasses import dataclass

from router.build.basics import Basics
from router.build.limits import index_limits
from router.build.tuning import Tuning
from router.clients import Clients
from router.clients.shared_use import SharedUse
from router.fleet.load_exchange import LoadExchange
from router.prefix.holders import Holders
from router.prefix.shared import SharedIndex, SharedParts
from router.prefix.tree import TreeIndex
from router.prefix.upkeep import Upkeep
from router.prefix.verbs import SharedLimits, Verbs
from router.prefix.writer import SharedWriter
from router.prompts.recall import Recall, RecallLimits
from router.sessions.shared.book_exchange import BookExchange
from router.sessions.shared.fleet_book import FleetBook
from router.settings import Settings
from router.shared.address import parse_address
from router.shared.check import SecretCheck
from router.shared.counters import LinkCounters
from router.shared.link import Link, LinkLimits


@dataclass(frozen=True, slots=True)
class Sharing:
    """There is one where the settings name a Redis."""

    link: Link
    load: LoadExchange
    holders: Holders
    index: SharedIndex
    recall: Recall
    upkeep: Upkeep


def make_tree(basics: Basics) -> TreeIndex:
    """This router's own index: alone, or beside the shared one."""
    return TreeIndex(index_limits(basics.settings, basics.tuning), time.monotonic, basics.instruments.report_records)


def make_sharing(basics: Basics, local: TreeIndex, counters: LinkCounters) -> Sharing | None:
    """Everything on one link; None where the settings name no Redis."""
    settings = basics.settings
    if not settings.redis:
        return None
    link = _make_link(basics, counters)
    load = LoadExchange(link, basics.keys, secrets.token_hex(8), basics.seal("load"), time.monotonic)
    limits = _shared_limits(settings, basics.tuning)
    verbs = Verbs(basics.keys, limits)
    holders = Holders(time.monotonic, limits.default_capacity_blocks)
    writer = SharedWriter(link, verbs, holders, local, basics.rng.randrange)
    parts = SharedParts(local, link, verbs, holders, writer, basics.instruments.fallbacks)
    index = SharedIndex(parts, time.monotonic, basics.instruments.report_records)
    recall_limits = RecallLimits(limits.ttl_s, lambda: writer.room)
    recall = Recall(link, basics.keys, basics.seal("conversation"), recall_limits, basics.instruments.recalled)
    upkeep = Upkeep(index, link, SecretCheck(link, basics.keys, basics.secret), limits)
    return Sharing(link, load, holders, index, recall, upkeep)


def _make_link(basics: Basics, counters: LinkCounters) -> Link:
    settings = basics.settings
    address = parse_address(settings.redis, settings.redis_password.value if settings.redis_password else "")
    return Link(address, basics.keys.check, LinkLimits(settings.redis_timeout_ms / 1000), counters, basics.rng)


def _shared_limits(settings: Settings, tuning: Tuning) -> SharedLimits:
    limits = index_limits(settings, tuning)
    return SharedLimits(
        default_capacity_blocks=limits.default_capacity_blocks,
        pending_ttl_s=limits.pending_ttl_s,
        ttl_s=round(settings.redis_ttl_s),
        max_memory_bytes=settings.redis_max_memory_bytes,
    )


def make_book_exchange(basics: Basics, sharing: Sharing, book: FleetBook) -> BookExchange | None:
    """Carries it; None where no session is held back."""
    if not book.admission.bound_s:
        return None
    return BookExchange((sharing.link, basics.keys), basics.seal("sessions"), sharing.load, book, time.monotonic)


def make_shared_use(basics: Basics, sharing: Sharing, clients: Clients) -> SharedUse:
    """Clients' limits are the whole fleet's."""
    place = sharing.link, basics.keys
    return SharedUse(clients, sharing.load, place, basics.seal("use"), time.monotonic)
