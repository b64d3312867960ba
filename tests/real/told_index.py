"""An index that is fed by KV events alone, beside what an engine says that it holds."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from router.fleet.worker import chain_block_tokens
from router.kv_events.follower import Follower, Following, HeardWorker
from router.kv_events.host_address import HostAddresses
from router.kv_events.leases import Alone
from router.kv_events.listener import Listener
from router.kv_events.wire import EventSource
from router.prefix.index import HASH_BYTES
from router.prefix.tree import TreeIndex
from tests.router.fleets import make_fleet
from tokenizer_cache.conversations.chain import ID_BYTES, Chain, pack

SECRET = b"a secret of these tests"
CHAINS = 1000
"""Told of at once."""


class HeldPool(NamedTuple):
    """What the engine's pool holds, in blocks of our chain."""

    blocks: frozenset[bytes]
    """Those that a prompt can be found in: with all before them, and all of the engine's blocks in them."""
    engine_blocks: int
    reachable: int
    """Of the engine's blocks, those whose parents are there too."""


def in_chain(held: Sequence[dict[str, Any]], chain: Chain, root: bytes, block_tokens: int) -> HeldPool:
    """The engine's blocks as a tree, cut into blocks of our chain."""
    children: dict[str | None, list[dict[str, Any]]] = {}
    for block in held:
        children.setdefault(block["parent"], []).append(block)
    found, reachable = set(), 0
    paths = [(block, root, b"") for block in children.get(None, ())]
    while paths:
        block, parent, rest = paths.pop()
        assert len(block["ids"]) == block_tokens
        reachable += 1
        hashes, rest = chain.extend(parent, rest, pack(block["ids"]))
        if hashes:
            parent = hashes[-HASH_BYTES:]
            found.add(parent)
        paths += [(child, parent, rest) for child in children.get(block["hash"], ())]
    return HeldPool(frozenset(found), len(held), reachable)


async def _nobody(host: str, port: int) -> list[str]:
    """Nothing is looked up here."""
    return []


class HeardIndex:
    """What a router believes of one worker that it only hears of."""

    def __init__(self, tree: TreeIndex, block_tokens: int, endpoints: tuple[str, str]) -> None:
        fleet = make_fleet(1)
        (self._worker,) = fleet.workers.values()
        cell_bytes = chain_block_tokens(block_tokens) * ID_BYTES
        self.chain = Chain(cell_bytes, SECRET)
        self.root = self.chain.root(b"model")
        source = EventSource(
            key=self._worker.holder,
            events=endpoints[0],
            repeats=endpoints[1],
            roots=(self.root,),
            cell_bytes=cell_bytes,
        )
        self.listener = Listener(source, SECRET)
        self.heard = HeardWorker(self._worker, source)
        self._tree = tree
        self._follower = Follower(fleet, tree, tree.find, Following(Alone(), HostAddresses(_nobody), (), SECRET))
        self._follower.heard[self._worker.id] = self.heard
        tree.set_capacity(self._worker.holder, 1 << 20)

    def tell(self) -> None:
        """What the listener has heard goes into the index, as from its process."""
        for news in self.listener.news(CHAINS):
            self._follower.take(news)

    def blocks(self) -> frozenset[bytes]:
        """All that the index believes, each block once."""
        chains = self._tree.residency.chains(self._worker.holder)
        return frozenset(
            chain[start : start + HASH_BYTES] for chain in chains for start in range(0, len(chain), HASH_BYTES)
        )
