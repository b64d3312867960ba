"""Which URLs a worker may have: a URL found or given at run time gets no probe, key or prompt before it passes here.

Workers that the settings list are allowed. All others (admin API, file, DNS, EndpointSlices, other routers) must match
a rule of `worker_allow`, or what their source implies. A URL is read strictly: one that two parsers could read
differently is refused. A name is checked again, by its address, for every connection (`resolver.py`).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from router.dial.addresses import LOOPBACK, PRIVATE, Address, Network, granted, plain, special_range
from router.dial.quoting import quoted

MAX_URL = 2048
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[A-Za-z0-9._~-]*)*)"
)
_RULE = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>\[[^\]]*\]|\*?[A-Za-z0-9._/-]+)(?::(?P<low>[0-9]{1,5})(?:-(?P<high>[0-9]{1,5}))?)?"
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORTS = {"http": 80, "https": 443}
MAX_PORT = 65535


class NotAllowedError(ValueError):
    """A worker that must not be called. The text completes "the URL ..." and does not repeat it."""


class BadUrlError(NotAllowedError):
    """The URL is malformed or ambiguous."""


class WorkerUrl(NamedTuple):
    """The target of a worker's URL, which is not ambiguous."""

    scheme: str
    host: str
    """A name in lower case, or an address in its canonical form, without brackets."""
    port: int
    address: Address | None
    """None where the host is a name."""
    path: str

    @property
    def url(self) -> str:
        """The canonical URL: equal for equal targets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `worker_allow`."""

    text: str
    scheme: str
    """Empty: both."""
    name: str
    """An exact name, or `*.` and a suffix; empty where the rule is about addresses."""
    network: Network | None
    ports: tuple[int, int]
    """First and last."""

    def fits(self, scheme: str, port: int) -> bool:
        """Does the rule cover this scheme and port? An empty scheme matches any (a resolver does not know it)."""
        return (not scheme or self.scheme in ("", scheme)) and self.ports[0] <= port <= self.ports[1]

    def names(self, host: str) -> bool:
        """Does the rule cover the name `host`?"""
        if self.name.startswith("*."):
            return host.endswith(self.name[1:])
        return bool(self.name) and host == self.name


@dataclass(frozen=True, slots=True)
class Implied:
    """What a configured source allows for its own workers, where there are no rules: private addresses, on one port (0
    means any)."""

    scheme: str
    port: int

    def allows(self, target: WorkerUrl) -> bool:
        """True for a literal address of the cluster's network, on the source's port."""
        fits = target.scheme == self.scheme and self.port in (0, target.port)
        return fits and target.address is not None and granted(target.address, PRIVATE)


class AllowList:
    """The rules, and the workers that the settings list. Pure: equal arguments give equal answers."""

    def __init__(self, rules: Iterable[Rule], listed: Iterable[str] = ()) -> None:
        self._rules = tuple(rules)
        self._networks = tuple(rule.network for rule in self._rules if rule.network is not None)
        self._listed = {url.rstrip("/") for url in listed}
        self._listed_hosts = {_host_and_port(url) for url in self._listed}

    def check(self, url: str, implied: Implied | None = None) -> str:
        """The canonical form of `url`, which may become a worker; a listed one as it is listed. Raises
        NotAllowedError."""
        if url.rstrip("/") in self._listed:
            return url.rstrip("/")
        target = parse_worker_url(url)
        if target.url in self._listed:
            return target.url
        if target.address is not None:
            allowed = self._allows_address(target.scheme, target.port, target.address)
        else:
            allowed = any(rule.fits(target.scheme, target.port) and rule.names(target.host) for rule in self._rules)
        if not allowed and not (implied is not None and not self._rules and implied.allows(target)):
            raise NotAllowedError(_refusal(target.address))
        return target.url

    def allows_dial(self, host: str, port: int, address: Address) -> bool:
        """May the name `host` be dialled at this address, to which it resolves now? Asked for every connection.

        Where the rules name networks, a name must resolve into one of them; else to any ordinary address."""
        host, address = host.lower(), plain(address)
        special = special_range(address)
        if granted(address, self._networks):
            return True
        own = host == "localhost" or host.endswith(".localhost")
        if (host, port) in self._listed_hosts:
            return special is None or special in LOOPBACK
        named = any(rule.fits("", port) and rule.names(host) for rule in self._rules)
        if special is not None:
            return named and own and special in LOOPBACK
        return named and not self._networks

    def _allows_address(self, scheme: str, port: int, address: Address) -> bool:
        networks = tuple(rule.network for rule in self._rules if rule.network and rule.fits(scheme, port))
        return granted(address, networks)


def parse_worker_url(url: str) -> WorkerUrl:
    """Read a URL that came from outside. Raises BadUrlError for a URL that two parsers could read differently."""
    found = _URL.fullmatch(url) if len(url) <= MAX_URL else None
    if found is None:
        raise BadUrlError("must be http(s)://host[:port][/path] in plain ASCII, with nothing else in it")
    scheme, path = found["scheme"], found["path"].rstrip("/")
    port = int(found["port"] or _PORTS[scheme])
    if not 0 < port <= MAX_PORT:
        raise BadUrlError(f"must have a port from 1 to {MAX_PORT}")
    if path.endswith("/v1") or {".", ".."} & set(path.split("/")) or "//" in path:
        raise BadUrlError("must have a plain path, or none, without /v1")
    address = _address(found["host"])
    host = found["host"].lower() if address is None else str(address)
    return WorkerUrl(scheme, host, port, address, path)


def _address(host: str) -> Address | None:
    """The address that a host is; None for a name. Raises BadUrlError."""
    try:
        if host.startswith("["):
            return plain(IPv6Address(host[1:-1]))
        if _NUMBER.fullmatch(host.lower().rstrip(".").rpartition(".")[2]):
            return IPv4Address(host)
    except ValueError:
        raise BadUrlError("must have its address in the usual form, such as 10.0.0.1 or [fd00::1]") from None
    if not all(_LABEL.fullmatch(label) for label in host.lower().split(".")):
        raise BadUrlError("must have a host name without empty labels and without a dot at its end")
    return None


def read_rule(text: str) -> Rule:
    """One rule: `[scheme://]HOST[:PORT[-PORT]]`; HOST is a name, `*.suffix`, an address or a network. Raises
    ValueError."""
    bare = _network(text)
    found = None if bare else _RULE.fullmatch(text)
    if bare is None and found is None:
        raise ValueError(
            f"must be [scheme://]host[:port], such as 10.0.0.0/8:8000 or *.example.com, not {quoted(text)}"
        )
    if found is None:
        return Rule(text, "", "", bare, (1, MAX_PORT))
    low = int(found["low"] or 1)
    high = int(found["high"] or found["low"] or MAX_PORT)
    if not 0 < low <= high <= MAX_PORT:
        raise ValueError(f"must have ports from 1 to {MAX_PORT}, not {quoted(text)}")
    host = found["host"].lower()
    network = _network(host.strip("[]"))
    if network is None and not _is_name(host.removeprefix("*.")):
        raise ValueError(f"must name a host, *.suffix, an address or a network without host bits, not {quoted(text)}")
    return Rule(text, found["scheme"] or "", "" if network else host, network, (low, high))


def _is_name(host: str) -> bool:
    labels = host.split(".")
    return all(_LABEL.fullmatch(label) for label in labels) and not _NUMBER.fullmatch(labels[-1])


def _network(text: str) -> Network | None:
    try:
        return ip_network(text)
    except ValueError:
        return None


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)


def _refusal(address: Address | None) -> str:
    if address is not None and special_range(address) is not None:
        return "leads to a loopback, link-local, metadata or otherwise special address, which no rule names"
    return "matches no rule of worker_allow"
