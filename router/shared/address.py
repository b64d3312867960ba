"""Where the server is: a URL, and, behind Sentinel or in a Cluster, the server that is the primary now.

What a URL may say follows redis-py: `redis://`, `rediss://` (TLS), `unix://`, user and password, `/DB`, and as query
`ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`, `ssl_cert_reqs`, `ssl_check_hostname`. It may also be `redis+sentinel://`
or `redis+cluster://` (or `rediss+...`) with several `host:port`; for Sentinel the path names the service. Logs get only
`redacted`, which never holds a password.
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio import Redis, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import ClusterDownError, RedisError

from router.dial.certificates import Authorities, KeyPair
from router.dial.hosts import is_host
from router.shared.failure import Failure, FailureKind, failure_of

DEFAULT_PORTS = {"sentinel": 26379}
ANSWER_S = 1.0
"""Seconds that each sentinel or node has to name the primary; then the next one is asked. A host that is gone does not
answer at all."""
SCHEMES = frozenset({"redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"})
NO_PAIR = KeyPair("", "")
NO_AUTHORITIES = Authorities("")


class Endpoint(NamedTuple):
    """One server: a host and port, or the path of a socket."""

    host: str = ""
    port: int = 0
    path: str = ""


class UnreachableError(OSError):
    """No sentinel or node could say where the server is, or the server refused the connection."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail or failure.kind.value)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Address:
    """What a URL says about the server."""

    kind: str
    """"" for one server, "sentinel" or "cluster"."""
    endpoints: tuple[Endpoint, ...]
    service: str = ""
    username: str = ""
    password: str = ""
    sentinel_password: str = ""
    db: int = 0
    tls: ssl.SSLContext | None = None
    pair: KeyPair = NO_PAIR
    authorities: Authorities = NO_AUTHORITIES

    @property
    def redacted(self) -> str:
        """For logs."""
        return ",".join(endpoint.path or f"{endpoint.host}:{endpoint.port}" for endpoint in self.endpoints)

    async def find(self, key: str) -> Endpoint:
        """The server that holds `key` now. Raises UnreachableError, or TimeoutError."""
        if not self.kind:
            return self.endpoints[0]
        ask = self._ask_sentinels if self.kind == "sentinel" else self._ask_cluster
        try:
            async with asyncio.timeout(len(self.endpoints) * ANSWER_S + ANSWER_S):
                return await ask(key)
        except RedisError as error:
            raise UnreachableError(failure_of(str(error))) from None

    async def _ask_sentinels(self, key: str) -> Endpoint:
        options = self._options(self.sentinel_password)
        endpoints = [(endpoint.host, endpoint.port) for endpoint in self.endpoints]
        sentinel = Sentinel(endpoints, sentinel_kwargs=options)  # type: ignore[no-untyped-call]
        try:
            host, port = await sentinel.discover_master(self.service)
        finally:
            for each in sentinel.sentinels:
                await each.aclose()
        return _dialable(host, port)

    async def _ask_cluster(self, key: str) -> Endpoint:
        """Every node knows all others; the first answer is believed."""
        slot = key_slot(key.encode())
        problem: RedisError = ClusterDownError("CLUSTERDOWN no node serves the hash slot")
        for endpoint in self.endpoints:
            client = Redis(host=endpoint.host, port=endpoint.port, **self._options(self.password, self.username))
            try:
                for first, last, (host, port, *_), *_ in await client.execute_command("CLUSTER", "SLOTS"):  # type: ignore[no-untyped-call]
                    if first <= slot <= last:
                        return _dialable(host.decode() if host else endpoint.host, port)
            except RedisError as error:
                problem = error
            except (TypeError, ValueError):
                problem = ClusterDownError("ERR a node's slots cannot be read")
            finally:
                await client.aclose()
        raise problem

    def _options(self, password: str, username: str = "") -> dict[str, Any]:
        options: dict[str, Any] = {"socket_timeout": ANSWER_S, "socket_connect_timeout": ANSWER_S}
        options |= {"username": username or None, "password": password or None, "retry": Retry(NoBackoff(), 0)}
        if self.tls is not None:
            options |= {"ssl": True, "ssl_check_hostname": self.tls.check_hostname}
            options["ssl_cert_reqs"] = "required" if self.tls.verify_mode is ssl.CERT_REQUIRED else "none"
            options |= {"ssl_ca_certs": self.authorities.path or None}
            options |= {"ssl_certfile": self.pair.certificate or None, "ssl_keyfile": self.pair.key or None}
        return options


def parse_address(url: str, password: str = "") -> Address:
    """Read a URL. `password` is used where the URL has none. ValueError says what it must be, without quoting it."""
    try:
        parts = urlsplit(url)
    except ValueError:  # its text may quote the password
        raise ValueError("must be a URL such as redis://host:port") from None
    scheme, _, kind = parts.scheme.partition("+")
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, own_password = login.partition(":")
    if parts.scheme not in SCHEMES:
        raise ValueError("must be a URL such as redis://host:port")
    if scheme == "unix":
        endpoints: tuple[Endpoint, ...] = (Endpoint(path=unquote(hosts + parts.path)),)
    else:
        endpoints = tuple(_endpoint(host, DEFAULT_PORTS.get(kind, 6379)) for host in hosts.split(","))
    if (not kind and len(endpoints) > 1) or (kind == "sentinel" and not parts.path.strip("/")):
        raise ValueError("must be redis+sentinel://host:port,host:port/service or redis+cluster://host:port,host:port")
    certificate = query.get("ssl_certfile", "")
    pair = KeyPair(certificate, query.get("ssl_keyfile", certificate))
    authorities = Authorities(query.get("ssl_ca_certs", ""))
    return Address(
        kind=kind,
        endpoints=endpoints,
        service=parts.path.strip("/") if kind == "sentinel" else "",
        username=unquote(user),
        password=unquote(own_password) or password,
        sentinel_password=query.get("sentinel_password", ""),
        db=_database(query.get("db", "") or (parts.path.strip("/") if scheme != "unix" and not kind else "")),
        tls=_tls(query, pair, authorities) if scheme == "rediss" else None,
        pair=pair,
        authorities=authorities,
    )


def _endpoint(text: str, default_port: int) -> Endpoint:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port == 0 or not is_host(host):
        raise ValueError("must name a host, and a port from 1 to 65535, such as redis://host:port")
    return Endpoint(host, port or default_port)


def _dialable(host: object, port: object) -> Endpoint:
    """The endpoint that a sentinel or node named. Raises UnreachableError if it cannot be dialled."""
    if not isinstance(host, str) or not isinstance(port, int) or not 0 < port < 1 << 16 or not is_host(host):
        raise UnreachableError(Failure(FailureKind.ERROR, "the answer is no host and port"))
    return Endpoint(host, port)


def _database(text: str) -> int:
    if not text:
        return 0
    if not text.isdecimal():
        raise ValueError("must name the database by its number, such as redis://host:port/0")
    return int(text)


def _tls(query: dict[str, str], pair: KeyPair, authorities: Authorities) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=authorities.path or None)
        if pair:
            pair.load_into(context)
    except OSError as error:
        raise ValueError(f"names certificates that cannot be used: {error.strerror or error}") from None
    if query.get("ssl_check_hostname", "true").lower() in ("false", "no", "0"):
        context.check_hostname = False
    if query.get("ssl_cert_reqs", "required") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
