"""Chains, records, a clock that is set by hand, and the indexes that keep the contract."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import pytest

from router.prefix.api import HASH_BYTES, Held, PrefixIndex, Record, State
from router.prefix.residency import Limits
from router.prefix.tree import TreeIndex


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


INDEXES: list[Callable[[Limits, Clock], AbstractAsyncContextManager[TestedIndex]]] = [tree_index]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=INDEXES)
async def bench(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[Bench]:
    async with request.param(Limits(default_capacity_blocks=1000, pending_ttl_s=60.0), clock) as index:
        yield Bench(index, clock)
