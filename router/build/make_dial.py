"""How workers are reached: which addresses are allowed, how names are resolved, and what both sides show under TLS."""

import ssl
from dataclasses import dataclass

import httpx

from router.build.basics import Basics
from router.build.make_sharing import Sharing
from router.dial.allow import AllowList
from router.dial.certificates import Authorities, KeyPair, Renewal, WorkerTls, worker_tls
from router.dial.resolver import Resolver
from router.engines import control_client
from router.settings import Settings


@dataclass(frozen=True, slots=True)
class Dial:
    """Every connection to a worker is made with these."""

    allow: AllowList
    resolver: Resolver
    tls: WorkerTls
    pair: KeyPair
    """What the router shows of itself."""


def make_dial(settings: Settings) -> Dial:
    """Raises OSError for a certificate that cannot be used."""
    allow = AllowList(settings.worker_allow, settings.workers)
    pair = KeyPair(settings.worker_tls_certificate, settings.worker_tls_key)
    tls = worker_tls(settings.worker_ca, pair, settings.worker_tls_name)
    return Dial(allow, Resolver(allow), tls, pair)


def make_control_client(basics: Basics, dial: Dial, timeout_s: float) -> httpx.AsyncClient:
    """For what the router itself asks of workers."""
    return control_client(timeout_s, basics.worker_key, dial.tls, dial.resolver)


def make_renewal(settings: Settings, dial: Dial, ours: ssl.SSLContext | None, sharing: Sharing | None) -> Renewal:
    """Certificates are taken anew when their files change. `ours`: what clients are shown."""
    renewal = Renewal()
    renewal.watch(dial.tls.context, dial.pair)
    renewal.watch(dial.tls.context, Authorities(settings.worker_ca))
    renewal.watch(ours, KeyPair(settings.tls_certificate, settings.tls_key))
    renewal.watch(ours, Authorities(settings.tls_client_ca))
    if sharing is not None:
        link = sharing.link
        renewal.watch(link.address.tls, link.address.pair)
        renewal.watch(link.address.tls, link.address.authorities)
    return renewal
