"""The kinds of Redis that routers share in the drill, each as an operator would set it up.

Routers reach a server that stands alone through the proxy, and nothing else does. Sentinels and a Cluster tell their
clients where to go, so these are reached directly.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from loadtests.harness.processes import until
from loadtests.harness.proxy import Proxy
from loadtests.harness.redis_server import HOST, RedisProcess, SentinelProcess

PREFIX = "warmroute"
PASSWORD = "of-the-faults"
PAGE = Path(__file__).parents[2] / "docs/security.md"
SENTINELS = 3
SHARDS = 3
SLOTS = 16384
DOWN_AFTER_MS = 1000
"""Sentinels, and a Cluster's nodes, take a server for dead that does not answer for this many milliseconds."""
SETTLED_S = 30.0


@dataclass(slots=True)
class Store:
    """One kind of Redis. `url` is the routers' setting."""

    url: str
    servers: Sequence[RedisProcess]
    """The first server holds the routers' keys at the start."""
    proxy: Proxy = field(default_factory=lambda: Proxy(0))


Stores = Callable[[], AbstractAsyncContextManager[Store]]


@asynccontextmanager
async def single() -> AsyncIterator[Store]:
    """One server."""
    async with RedisProcess() as server, Proxy(server.port) as proxy:
        yield Store(f"redis://{HOST}:{proxy.port}", [server], proxy)


@asynccontextmanager
async def secured() -> AsyncIterator[Store]:
    """One server; routers come over TLS, as the user of docs/security.md."""
    server = RedisProcess()
    directives = _certificates(server.folder) | {"tls-port": str(server.port + 1), "tls-auth-clients": "no"}
    rules = server.folder / "users.acl"
    rules.write_text(f"user default on nopass ~* &* +@all\n{_user()}\n")
    server.directives.update(directives | {"aclfile": str(rules)})
    async with server, Proxy(server.port + 1) as proxy:
        login = f"{PREFIX}:{PASSWORD}"
        authority = server.folder / "ca.pem"
        yield Store(f"rediss://{login}@{HOST}:{proxy.port}?ssl_ca_certs={authority}", [server], proxy)


@asynccontextmanager
async def watched() -> AsyncIterator[Store]:
    """A primary and its replica, watched by three sentinels."""
    async with AsyncExitStack() as stack:
        primary = await stack.enter_async_context(RedisProcess())
        replica = await stack.enter_async_context(RedisProcess(replicaof=f"{HOST} {primary.port}"))
        watchers = [
            await stack.enter_async_context(
                SentinelProcess(
                    **{
                        "sentinel monitor main": f"{HOST} {primary.port} 2",
                        "sentinel down-after-milliseconds main": str(DOWN_AFTER_MS),
                        "sentinel failover-timeout main": "5000",
                    }
                )
            )
            for _ in range(SENTINELS)
        ]

        async def settled() -> bool:
            known = [await watcher.ask("SENTINEL", "CKQUORUM", "main") for watcher in watchers]
            synced = "master_link_status:up" in await replica.ask("INFO", "replication")
            return synced and all(f"{SENTINELS} usable" in one for one in known)

        await until(settled, SETTLED_S, "the sentinels do not know each other")
        hosts = ",".join(f"{HOST}:{watcher.port}" for watcher in watchers)
        yield Store(f"redis+sentinel://{hosts}/main", [primary, replica])


@asynccontextmanager
async def clustered() -> AsyncIterator[Store]:
    """A Cluster of three shards, a primary and a replica each."""
    directives = {"cluster-enabled": "yes", "cluster-node-timeout": str(DOWN_AFTER_MS)}
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(RedisProcess(**directives)) for _ in range(2 * SHARDS)]
        bounds = [SLOTS * number // SHARDS for number in range(SHARDS + 1)]
        for node, first, last in zip(nodes, bounds, bounds[1:], strict=False):
            await node.demand("CLUSTER", "ADDSLOTSRANGE", str(first), str(last - 1))
        for node in nodes[1:]:
            await node.demand("CLUSTER", "MEET", HOST, str(nodes[0].port))
        for primary, replica in zip(nodes, nodes[SHARDS:], strict=False):
            name = await primary.demand("CLUSTER", "MYID")
            await until(lambda: _knows(replica, name), SETTLED_S, "the nodes do not know each other")  # noqa: B023
            await replica.demand("CLUSTER", "REPLICATE", name)
        await until(lambda: _formed(nodes), SETTLED_S, "the Cluster does not form")
        slot = int(await nodes[0].demand("CLUSTER", "KEYSLOT", f"{{{PREFIX}}}:"))
        ours = next(number for number in range(SHARDS) if slot < bounds[number + 1])
        hosts = ",".join(f"{HOST}:{node.port}" for node in nodes[:SHARDS])
        yield Store(f"redis+cluster://{hosts}", [nodes[ours], nodes[ours + SHARDS]])


async def _knows(node: RedisProcess, name: str) -> bool:
    return name in await node.ask("CLUSTER", "NODES")


async def _formed(nodes: Sequence[RedisProcess]) -> bool:
    states = await asyncio.gather(*(node.ask("CLUSTER", "INFO") for node in nodes))
    replicas = await asyncio.gather(*(node.ask("INFO", "replication") for node in nodes[SHARDS:]))
    return all("cluster_state:ok" in one for one in states) and all("link_status:up" in one for one in replicas)


def _certificates(folder: Path) -> dict[str, str]:
    """An authority, and a certificate for this host, in this folder."""
    authority = trustme.CA()
    issued = authority.issue_cert(HOST)
    names = {"tls-ca-cert-file": "ca.pem", "tls-cert-file": "cert.pem", "tls-key-file": "key.pem"}
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return {directive: str(folder / name) for directive, name in names.items()}


def _user() -> str:
    """The routers' user as docs/security.md has it, on one line."""
    text = PAGE.read_text(encoding="utf-8")
    user = text[text.index(f"user {PREFIX} on #") :].partition("```")[0]
    return " ".join(user.split()).replace("SHA256-OF-THE-PASSWORD", hashlib.sha256(PASSWORD.encode()).hexdigest())
