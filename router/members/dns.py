"""Workers behind a DNS name: one for each address of it (a headless Service), or for each SRV record.

The name is asked again when its answer's TTL is over, within bounds. After a failure the last answer stays, for each
address family separately. After an empty answer it stays for a while: a restarting name server must not remove the
whole fleet.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import dns.asyncresolver
import dns.exception
import dns.resolver
from dns.rdatatype import AAAA, SRV, A, RdataType

from router.dial.addresses import read
from router.dial.allow import Implied, WorkerUrl
from router.members.source import Findings, WorkerSpec

MAX_TTL_S = 60.0
EMPTY_S = 60.0
"""Seconds for which an empty answer is taken for a fault of the name server."""
LIFETIME_S = 5.0
"""Seconds for one question, with its repetitions."""
MAX_TARGETS = 1024
AT_ONCE = 8
"""Targets that are asked for at once. Danger: an answer may have 4,000 addresses, and takes the event loop 0.1 s."""
MAX_PLACES = 4096
"""Workers of one name. A name that has more is not believed."""
_PORTS = {"http": 80, "https": 443}


class TooManyPlacesError(Exception):
    """A name has more addresses than workers are believed."""


class Answer(NamedTuple):
    """The (address, port) pairs of a name, and the seconds for which they are valid."""

    places: frozenset[tuple[str, int]]
    ttl_s: float


class DnsSource:
    """One name. `http://name:port` asks for its addresses, `http+srv://_name._tcp.domain` for its SRV records (their
    ports are not known beforehand, so they imply nothing and need `worker_allow`)."""

    def __init__(
        self, name: str, resolver: dns.asyncresolver.Resolver, clock: Callable[[], float], min_ttl_s: float
    ) -> None:
        parts = urlsplit(name)
        scheme, _, kind = parts.scheme.partition("+")
        self._scheme = scheme
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[scheme]
        self._path = parts.path.rstrip("/")
        self._srv = kind == "srv"
        self.name = f"dns:{self._host}" if self._srv else f"dns:{self._host}:{self._port}"
        self.implied: Implied | None = None if self._srv else Implied(scheme, self._port)
        self._resolver = resolver
        self._clock = clock
        self._min_ttl_s = min_ttl_s
        self._last: dict[tuple[str, RdataType], frozenset[str]] = {}
        self._empty_since: float | None = None

    async def run(self, findings: Findings) -> None:
        """Ask for ever."""
        while True:
            pause_s = await self.look(findings)
            await asyncio.sleep(pause_s)

    async def look(self, findings: Findings) -> float:
        """Ask once. Returns the seconds after which to ask again."""
        try:
            answer = await (self._services() if self._srv else self._addresses(self._host, self._port))
        except dns.exception.DNSException as error:
            findings.failed(f"no answer ({type(error).__name__})")
            return self._min_ttl_s
        except TooManyPlacesError:
            findings.failed(f"the name has over {MAX_PLACES} addresses")
            return MAX_TTL_S
        wait_s = max(self._min_ttl_s, min(answer.ttl_s, MAX_TTL_S))
        now = self._clock()
        if answer.places:
            self._empty_since = None
        else:
            self._empty_since = now if self._empty_since is None else self._empty_since
            if now < self._empty_since + EMPTY_S:
                findings.failed("the name has no address")
                return self._min_ttl_s
        findings.found([self._spec(address, port) for address, port in sorted(answer.places)])
        return wait_s

    def _spec(self, address: str, port: int) -> WorkerSpec:
        found = read(address)
        return WorkerSpec(WorkerUrl(self._scheme, str(found), port, found, self._path).url)

    async def _addresses(self, host: str, port: int) -> Answer:
        """The addresses of both families. Raises DNSException when the questions for both failed."""
        four, six = await asyncio.gather(self._ask(host, A), self._ask(host, AAAA), return_exceptions=True)
        if isinstance(four, BaseException) and isinstance(six, BaseException):
            raise four
        places: set[tuple[str, int]] = set()
        ttl_s = MAX_TTL_S
        for kind, found in ((A, four), (AAAA, six)):
            if isinstance(found, dns.exception.DNSException):
                places |= {(address, port) for address in self._last.get((host, kind), ())}
            elif isinstance(found, BaseException):
                raise found
            elif found is not None:
                addresses = frozenset(str(one) for one in found)
                self._last[host, kind] = addresses
                places |= {(address, port) for address in addresses}
                ttl_s = min(ttl_s, found.rrset.ttl if found.rrset is not None else MAX_TTL_S)
            else:
                self._last.pop((host, kind), None)
        if len(places) > MAX_PLACES:
            raise TooManyPlacesError
        return Answer(frozenset(places), ttl_s)

    async def _services(self) -> Answer:
        """The SRV records of the best priority, each target's addresses on its port."""
        found = await self._ask(self._host, SRV)
        if found is None:
            return Answer(frozenset(), 0.0)
        best = min(record.priority for record in found)
        targets = sorted({(str(record.target), int(record.port)) for record in found if record.priority == best})
        del targets[MAX_TARGETS:]
        hosts = {host for host, _ in targets}
        self._last = {(host, kind): last for (host, kind), last in self._last.items() if host in hosts}
        places, ttl_s = set[tuple[str, int]](), found.rrset.ttl if found.rrset is not None else MAX_TTL_S
        for first in range(0, len(targets), AT_ONCE):
            for answer in await asyncio.gather(*(self._addresses(*each) for each in targets[first : first + AT_ONCE])):
                places |= answer.places
                ttl_s = min(ttl_s, answer.ttl_s)
            if len(places) > MAX_PLACES:
                raise TooManyPlacesError
        return Answer(frozenset(places), ttl_s)

    async def _ask(self, host: str, kind: RdataType) -> dns.resolver.Answer | None:
        """The answer; None when the name no longer exists, or has no record of this kind. Raises DNSException."""
        try:
            return await self._resolver.resolve(host, kind, lifetime=LIFETIME_S, search=True)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return None
