"""Resolves names for every connection to a worker: an address that the allow-list refuses is never dialled.

A worker's name is checked when it is added, but the addresses behind it may change at any time (DNS rebinding). So the
addresses are checked here, and the connection goes to a checked address; the name is not resolved a second time.
"""

import asyncio
import logging
import socket

import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.helpers import is_ip_address

from router.dial.addresses import read
from router.dial.allow import AllowList

log = logging.getLogger("warmroute")


class Resolver(AbstractResolver):
    """The system's resolver, which leaves out addresses that are not allowed. aiohttp's connector uses it and caches
    the answers."""

    def __init__(self, allow: AllowList) -> None:
        self._allow = allow
        self._refused: set[tuple[str, str]] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of `host` that may be dialled. OSError when there are none."""
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(
                host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
            )
        except UnicodeError:
            raise OSError("the host's name cannot be looked up") from None
        return self.allowed(host, port, [str(info[4][0]) for info in infos])

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to dial for `host`, an address or a name. OSError when there is none."""
        if is_ip_address(host):
            return [host]
        return [answer["host"] for answer in await self.resolve(host, port)]

    def allowed(self, host: str, port: int, addresses: list[str]) -> list[ResolveResult]:
        """Those of `addresses` that may be dialled for `host`. OSError when there are none."""
        kept = [address for address in addresses if self._allow.allows_dial(host, port, read(address))]
        if not kept:
            self._complain(host, addresses)
            raise OSError("no address of this name is allowed for workers")
        return [_result(host, port, address) for address in kept]

    async def close(self) -> None:
        """Nothing is held."""

    def _complain(self, host: str, addresses: list[str]) -> None:
        """Log each name and answer once: the name is dialled again and again."""
        refused = (host, ",".join(sorted(addresses)))
        if refused not in self._refused and len(self._refused) < 1000:
            self._refused.add(refused)
            log.warning("worker host %s resolves to %s, which worker_allow does not allow: not called", *refused)


def _result(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)


class CheckedTransport(httpx.AsyncBaseTransport):
    """httpx's transport, which dials only addresses that the resolver allows. The name stays in the Host header and in
    TLS."""

    def __init__(self, inner: httpx.AsyncBaseTransport, resolver: Resolver, tls_name: str = "") -> None:
        self._inner = inner
        self._tls_name = tls_name
        self._resolver = resolver

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send to the first address that accepts a connection. Raises httpx.ConnectError when none does."""
        url = request.url
        request.extensions = {**request.extensions, "sni_hostname": self._tls_name or url.host}
        if is_ip_address(url.host):
            return await self._inner.handle_async_request(request)
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            answers = await self._resolver.resolve(url.host, port)
        except OSError as error:
            raise httpx.ConnectError(str(error), request=request) from error
        failure = httpx.ConnectError("no address", request=request)
        for answer in answers:
            request.url = url.copy_with(host=answer["host"])
            try:
                return await self._inner.handle_async_request(request)
            except httpx.ConnectError as error:
                failure = error
        raise failure

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()
