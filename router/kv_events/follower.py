"""Keeps the listening process running, tells it which workers to follow, and takes what it says into the index.

Events correct the simulation: what is lost is not believed any more, what is held is. Where all that an engine ever did
is known, its pool is not simulated to be smaller than it says. A worker that nobody listens to is simulated.
"""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from router.engines import EventPorts
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.kv_events.host_address import HostAddresses
from router.kv_events.leases import Leases
from router.kv_events.rules import EventRule, addresses, rule_of
from router.kv_events.wire import LENGTH, MAX_MESSAGE_BYTES, EventSource, News, Orders, packed, read_news
from router.prefix.index import HASH_BYTES, Held, PrefixIndex, Record, State
from tokenizer_cache.bodies.identity import plain_scope
from tokenizer_cache.conversations.chain import ID_BYTES, Chain

BEAT_S = 1.0
"""Seconds between two looks at which workers to follow."""
MAX_NAMES = 4
"""Names of one model for which chains are kept, at most."""
END_S = 2.0


@dataclass(slots=True)
class HeardWorker:
    """What is known of one worker's events."""

    worker: Worker
    source: EventSource
    complete: bool = False
    blocks: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    heard_at: float = 0.0
    """The time at which its last batch came."""
    computed_then: int = 0
    """Prompt tokens that the engine had computed by then."""


@dataclass(frozen=True, slots=True)
class Following:
    """Which workers a router follows, and how it hashes."""

    leases: Leases
    hosts: HostAddresses
    rules: Sequence[EventRule]
    secret: bytes
    """Keys the chains."""


Find = Callable[[bytes, Sequence[str]], Mapping[str, Held]]


class Follower:
    """Takes the events of one router's workers into its index. `find` looks into that index."""

    def __init__(self, fleet: Fleet, index: PrefixIndex, find: Find, following: Following) -> None:
        self.heard: dict[str, HeardWorker] = {}
        """What is known of each worker's events, for as long as this router listens to it."""
        self.process: Process | None = None
        """The listening process; None while no worker is followed."""
        self.refused = 0
        """How many messages of the listening process could not be read as news."""
        self._fleet = fleet
        self._index = index
        self._find = find
        self._following = following
        self._ordered: list[EventSource] = []

    async def run(self) -> None:
        """Follow for ever. Raises when the listening process ends: the caller starts it again."""
        while not await self._choose():  # noqa: ASYNC110 - nothing tells of workers that may be followed
            await asyncio.sleep(BEAT_S)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "router.kv_events.process"), stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        self.process = process
        reading = asyncio.create_task(self._read(process), name="kv events")
        try:
            await self._order(process, reading)
            raise RuntimeError("the process that listens to KV events has ended")
        finally:
            self.process = None
            reading.cancel()
            self._ordered = []
            for heard in list(self.heard.values()):
                self._unfollow(heard)
            await _end(process)

    async def _order(self, process: Process, reading: "asyncio.Task[None]") -> None:
        """Tell the listening process which workers to follow, until it has ended."""
        assert process.stdin is not None
        while not reading.done():
            wanted = await self._choose()
            if wanted != self._ordered:
                self._ordered = wanted
                process.stdin.write(packed(Orders(secret=self._following.secret, sources=wanted)))
                await process.stdin.drain()
            await asyncio.wait((reading,), timeout=BEAT_S)

    async def _choose(self) -> list[EventSource]:
        """The sources that are this router's to follow."""
        following = self._following
        publishing = [
            (worker, ports)
            for worker in self._fleet.workers.values()
            if (ports := ports_of(worker, following.rules)) is not None
        ]
        hosts = await following.hosts.of(worker.url for worker, _ in publishing)
        possible = {
            worker.id: (worker, source_of(worker, addresses(hosts[worker.url], ports), ports.topic, following.secret))
            for worker, ports in publishing
            if worker.url in hosts
        }
        mine = await following.leases.mine(list(possible)) if possible else set()
        for worker_id, heard in list(self.heard.items()):
            if worker_id not in mine or possible[worker_id][1] != heard.source:
                self._unfollow(heard)
        for worker_id in mine:
            if worker_id not in self.heard:
                heard = self.heard[worker_id] = HeardWorker(*possible[worker_id], heard_at=time.monotonic())
                heard.computed_then = computed_by(heard.worker)
        return [heard.source for heard in self.heard.values()]

    def _unfollow(self, heard: HeardWorker) -> None:
        self.heard.pop(heard.worker.id, None)
        self._fleet.on_events(heard.worker.id, False)

    async def _read(self, process: Process) -> None:
        """Take in what the listening process says, until it ends."""
        assert process.stdout is not None
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                (size,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
                if size > MAX_MESSAGE_BYTES:
                    self.refused += 1
                    return
                body = await process.stdout.readexactly(size)
                try:
                    news = read_news(body)
                except msgspec.DecodeError:
                    self.refused += 1
                    continue
                self.take(news)

    def take(self, news: News) -> None:
        """Take one message in."""
        heard = next((each for each in self.heard.values() if each.source.key == news.key), None)
        if heard is None or heard.worker.holder != news.key:
            return
        worker = heard.worker
        heard.counts.update(news.counts)
        heard.complete, heard.blocks = news.complete, news.blocks
        if news.counts.get("batches"):
            heard.heard_at, heard.computed_then = time.monotonic(), computed_by(worker)
        if news.cleared:
            self._fleet.on_cleared(worker.id)
        self._fleet.on_events(worker.id, news.complete)
        for chain in news.lost:
            kept = chain[:-HASH_BYTES]
            self._index.record(Record(worker.holder, kept, State.CORRECTED, tail=chain))
        for chain in news.held:
            known = self._find(chain, (worker.holder,)).get(worker.holder)
            if known is None or known.pending_blocks * HASH_BYTES < len(chain):  # else the request's own record tells
                self._index.record(Record(worker.holder, chain, State.CONFIRMED))


def computed_by(worker: Worker) -> int:
    """Prompt tokens that the engine has computed, as it says."""
    return worker.load.prefill_tokens_sum if worker.load is not None else 0


def ports_of(worker: Worker, rules: Sequence[EventRule]) -> EventPorts | None:
    """The ports on its host at which this worker publishes; None where no router listens to it. Each rank has a
    publisher of its own."""
    facts, rule = worker.facts, rule_of(worker.url, rules)
    if facts is None or not worker.in_service or rule.mode == "off" or not facts.prefix_caching:
        return None
    ports = facts.events if rule.ports is None else rule.ports.of_rank(worker.rank)
    return ports if names_of(worker) else None


def names_of(worker: Worker) -> list[str]:
    """The names of its model for which chains are kept."""
    return [card.id for card in worker.models if not card.parent][:MAX_NAMES]


def source_of(worker: Worker, places: tuple[str, str], topic: str, secret: bytes) -> EventSource:
    """Where this worker's events come from, and how its prompts are hashed."""
    cell_bytes = worker.chain_block_tokens * ID_BYTES
    chain = Chain(cell_bytes, secret)
    return EventSource(
        key=worker.holder,
        events=places[0],
        repeats=places[1],
        topic=topic,
        roots=tuple(chain.root(plain_scope(worker.format, name)) for name in names_of(worker)),
        cell_bytes=cell_bytes,
    )


async def _end(process: Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
