"""The members of the fleet: the prober asks them, discovery finds them, operators decide about them here or
elsewhere."""

import time
from dataclasses import dataclass

import httpx

from router.build.basics import Basics
from router.build.make_dial import Dial, make_control_client
from router.build.make_discovery import sources_of
from router.build.make_sharing import Sharing
from router.build.tuning import Tuning
from router.dial.allow import AllowList
from router.engines.probe import ProbeConfig, Prober
from router.fleet.worker_names import worker_id
from router.fleet.workers import Fleet
from router.members.book import Book
from router.members.membership import Membership
from router.members.reconcile import Reconciler
from router.members.registry import Registry, Shelf


@dataclass(frozen=True, slots=True)
class Members:
    """The ways into the fleet, and out of it."""

    client: httpx.AsyncClient
    """The prober's."""
    prober: Prober
    membership: Membership
    discovery: Reconciler
    registry: Registry | None
    """Operators' decisions, shared with other routers; None without a link to them."""


def make_members(basics: Basics, fleet: Fleet, dial: Dial, sharing: Sharing | None) -> Members:
    """No worker has joined yet."""
    settings = basics.settings
    client = make_control_client(basics, dial, basics.tuning.health_timeout_s)
    prober = Prober(fleet, client, time.monotonic, basics.rng, _probe_config(basics.tuning))
    membership = Membership(fleet, dial.allow, prober)
    sources = sources_of(settings, basics.tuning.discovery_interval_s)
    discovery = Reconciler(membership, sources, time.monotonic, basics.tuning.leave_s, settings.worker_roles)
    registry = _make_registry(basics, membership, dial.allow, sharing) if sharing else None
    return Members(client, prober, membership, discovery, registry)


def _probe_config(tuning: Tuning) -> ProbeConfig:
    return ProbeConfig(
        interval_s=tuning.scrape_interval_s,
        health_interval_s=tuning.health_interval_s,
        unhealthy_after=tuning.unhealthy_after,
    )


def _make_registry(basics: Basics, membership: Membership, allow: AllowList, sharing: Sharing) -> Registry:
    shelf = Shelf(sharing.link, basics.keys, basics.seal("registry"), basics.instruments.registry_entries)
    listed = frozenset(worker_id(allow.check(url)) for url in basics.settings.workers)
    return Registry(shelf, Book(allow.check, worker_id), membership, time.time, listed)
