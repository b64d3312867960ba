"""The sources that the settings name."""

import random
import time
from pathlib import Path
from urllib.parse import urlsplit

import dns.asyncresolver

from router.members.dns import DnsSource
from router.members.file import FileSource
from router.members.kubernetes import KubernetesApi, KubernetesSource
from router.members.source import Source
from router.settings import Settings

DNS_PORT = 53
CREDENTIALS = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts them into every Pod."""


def sources_of(settings: Settings, interval_s: float) -> list[Source]:
    """All of them, not begun yet. `interval_s`: between two looks."""
    sources: list[Source] = []
    if settings.worker_file:
        sources.append(FileSource(settings.worker_file, interval_s))
    if settings.worker_dns:
        resolver = resolver_of(settings.dns_server)
        sources += [DnsSource(name, resolver, time.monotonic, interval_s) for name in settings.worker_dns]
    api = KubernetesApi(settings.kubernetes_api.rstrip("/"), CREDENTIALS)
    sources += [KubernetesSource(name, api, random.Random(), interval_s) for name in settings.worker_services]
    return sources


def resolver_of(server: str) -> dns.asyncresolver.Resolver:
    """The system's name servers and search list, or this one server's."""
    if not server:
        return dns.asyncresolver.Resolver()
    parts = urlsplit(f"//{server}")
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [parts.hostname or ""]
    resolver.port = parts.port or DNS_PORT
    return resolver
