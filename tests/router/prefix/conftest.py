"""Chains, records, a clock that is set by hand, and the indexes that keep the contract."""

import atexit
import hashlib
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache
from itertools import count
from typing import Protocol

import pytest

from router.observe.instruments import Counter
from router.prefix.holders import Holders
from router.prefix.index import HASH_BYTES, Held, PrefixIndex, Record, State
from router.prefix.residency import Limits
from router.prefix.shared import SharedIndex, SharedParts
from router.prefix.tree import TreeIndex
from router.prefix.verbs import SharedLimits, Verbs
from router.prefix.writer import SharedWriter
from router.shared.address import parse_address
from router.shared.counters import LinkCounters
from router.shared.keys import Keys
from router.shared.link import Link, LinkLimits
from tests.router.shared.conftest import until
from tests.servers import RedisServer


class Clock:
    """Seconds, as a test sets them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def chain_of(symbols: Iterable[object], parent: bytes = b"") -> bytes:
    """The chain of a prompt whose blocks are `symbols`, behind the chain `parent`."""
    hashes = [parent[-HASH_BYTES:]]
    for symbol in symbols:
        hashes.append(hashlib.blake2b(hashes[-1] + str(symbol).encode(), digest_size=HASH_BYTES).digest())
    return parent + b"".join(hashes[1:])


def pending(holder: str, chain: bytes) -> Record:
    return Record(holder, chain, State.PENDING)


def confirmed(holder: str, chain: bytes, generated_blocks: int = 0, pended: bytes = b"") -> Record:
    return Record(holder, chain, State.CONFIRMED, generated_blocks=generated_blocks, pended=pended)


def dropped(holder: str, chain: bytes) -> Record:
    return Record(holder, chain, State.DROPPED)


def corrected(holder: str, chain: bytes, tail: bytes) -> Record:
    return Record(holder, chain, State.CORRECTED, tail=tail)


def held(blocks: int) -> Held:
    """Held, and nothing more pending."""
    return Held(blocks, blocks)


class TestedIndex(PrefixIndex, Protocol):
    """The contract, and a way to wait until it has caught up."""

    async def flush(self) -> None: ...


class Bench:
    """One index under test, and its clock."""

    def __init__(self, index: TestedIndex, clock: Clock) -> None:
        self.index = index
        self.clock = clock

    async def write(self, *records: Record) -> None:
        """Record, and wait until all is visible."""
        for record in records:
            self.index.record(record)
        await self.index.flush()

    async def match(self, chain: bytes, *also: str) -> dict[str, Held]:
        return dict(await self.index.match(chain, also))


def raise_error(error: BaseException) -> None:
    """What an index reports in a test is a failure."""
    raise error


def tree_index(limits: Limits, clock: Clock) -> AbstractAsyncContextManager[TestedIndex]:
    return TreeIndex(limits, clock, raise_error)


@lru_cache
def shared_server(flavour: str) -> RedisServer:
    """One server for all tests, each of which has a prefix of its own."""
    server = RedisServer(flavour).start()
    atexit.register(server.kill)
    return server


def make_shared(url: str, prefix: str, limits: Limits, clock: Clock) -> tuple[Link, SharedIndex]:
    """A shared index that forgets as exactly as the tree does: its steps are single blocks."""
    link = Link(parse_address(url), "key", LinkLimits(ask_s=1.0), LinkCounters(), random.Random(1))
    shared = SharedLimits(limits.default_capacity_blocks, limits.pending_ttl_s, steps=4096)
    holders = Holders(clock, limits.default_capacity_blocks)
    verbs = Verbs(Keys(prefix), shared)
    tree = TreeIndex(limits, clock, raise_error)
    writer = SharedWriter(link, verbs, holders, tree, random.Random(2).randrange)
    fallbacks = Counter("fallbacks", "", ("reason",))
    return link, SharedIndex(SharedParts(tree, link, verbs, holders, writer, fallbacks), clock, raise_error)


@asynccontextmanager
async def shared_index(limits: Limits, clock: Clock, flavour: str = "valkey") -> AsyncIterator[SharedIndex]:
    """A shared index on a real server."""
    link, index = make_shared(shared_server(flavour).url, f"test-{next(PREFIXES)}", limits, clock)
    async with link, index:
        await until(lambda: link.connected)
        await index.flush()
        yield index
        assert not index.fallbacks.values, "every answer came from Redis"


PREFIXES = count()
INDEXES: list[Callable[[Limits, Clock], AbstractAsyncContextManager[TestedIndex]]] = [tree_index, shared_index]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=INDEXES)
async def bench(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[Bench]:
    async with request.param(Limits(default_capacity_blocks=1000, pending_ttl_s=60.0), clock) as index:
        yield Bench(index, clock)
