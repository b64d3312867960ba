"""SGLang's own publisher, from its source, over real sockets: the index that hears it holds what was published.

Skipped unless WARMROUTE_REAL_SGLANG_EVENTS is the path of `sglang/srt/disaggregation/kv_events.py`, as its wheel has
it. The two modules of SGLang that it imports are stood in for: the publisher needs nothing of them.
"""

import asyncio
import importlib.util
import os
import random
import sys
from types import ModuleType
from typing import Any

import pytest
import zmq

from loadtests.ports import ports
from router.kv_events.process import SourceSockets
from router.prefix.residency import Limits
from router.prefix.tree import TreeIndex
from tests.real.told_index import HeardIndex, in_chain

SOURCE = os.environ.get("WARMROUTE_REAL_SGLANG_EVENTS", "")
BATCHES = 300
PATIENCE_S = 60.0

pytestmark = pytest.mark.skipif(not SOURCE, reason="WARMROUTE_REAL_SGLANG_EVENTS is not set")


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Any:
    """SGLang's module."""
    for name, has in (("sglang.srt.runtime_context", "get_parallel"), ("sglang.srt.utils.network", "NetworkAddress")):
        module = ModuleType(name)
        vars(module)[has] = None
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("sglang_kv_events", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "sglang_kv_events", found)
    spec.loader.exec_module(found)
    return found


class RadixPages:
    """What a radix cache of pages holds: pages come behind others, and leave from the ends."""

    def __init__(self, theirs: Any, page: int, seed: int) -> None:
        self._theirs, self._page, self._rng = theirs, page, random.Random(seed)
        self.pages: dict[int, tuple[int | None, list[int]]] = {}

    def events(self) -> list[Any]:
        """Of one step."""
        return [self._store() if self._rng.random() < 0.6 else self._remove() for _ in range(3)]

    def _store(self) -> Any:
        rng, page = self._rng, self._page
        parent = rng.choice([None, *self.pages])
        count = rng.randint(1, 400 // page + 1)
        ids = [rng.randrange(50_000) for _ in range(count * page)]
        hashes = [rng.getrandbits(64) - (1 << 63) for _ in range(count)]
        for place, known in enumerate(hashes):
            self.pages[known] = (hashes[place - 1] if place else parent, ids[place * page : (place + 1) * page])
        return self._theirs.BlockStored(
            block_hashes=hashes,
            parent_block_hash=parent,
            token_ids=ids,
            block_size=page,
            lora_id=None,
            medium=self._theirs.StorageMedium.GPU.value,
            session_id="whose",
        )

    def _remove(self) -> Any:
        gone: list[int] = []
        parents = {parent for parent, _ in self.pages.values()}
        ends = [known for known in self.pages if known not in parents]
        self._rng.shuffle(ends)
        for end in ends[: len(ends) // 4]:
            at: int | None = end
            for _ in range(self._rng.randint(1, 200 // self._page + 1)):
                if at is None or at not in self.pages or any(parent == at for parent, _ in self.pages.values()):
                    break
                gone.append(at)
                at = self.pages.pop(at)[0]
        return self._theirs.BlockRemoved(block_hashes=gone, medium=self._theirs.StorageMedium.GPU.value)

    def held(self) -> list[dict[str, Any]]:
        return [{"hash": known, "parent": parent, "ids": ids} for known, (parent, ids) in self.pages.items()]


@pytest.mark.parametrize("page", [1, 16, 64])
async def test_the_index_holds_what_sglang_published(theirs: Any, page: int) -> None:
    events, repeats = ports(2)
    batches = BATCHES if page > 1 else BATCHES // 10
    publisher = theirs.ZmqEventPublisher(0, f"tcp://*:{events}", f"tcp://*:{repeats}")
    context: Any = zmq.Context()
    try:
        async with TreeIndex(Limits(), asyncio.get_running_loop().time, lambda error: None) as tree:
            index = HeardIndex(tree, page, (f"tcp://127.0.0.1:{events}", f"tcp://127.0.0.1:{repeats}"))
            sockets, cache = SourceSockets(context, index.listener), RadixPages(theirs, page, page)
            loop = asyncio.get_running_loop()
            for number in range(batches):
                if number == batches // 3:  # what was before is asked for again
                    index.listener.stream.begin(loop.time())
                publisher.publish(theirs.KVEventBatch(ts=1.0, events=cache.events()))
                if number >= batches // 3:
                    sockets.hear(loop.time())
                    index.tell()
            async with asyncio.timeout(PATIENCE_S):
                while (
                    index.heard.counts["batches"] < batches
                    or index.blocks() != in_chain(cache.held(), index.chain, index.root, page).blocks
                ):
                    await asyncio.sleep(0.05)
                    sockets.hear(loop.time())
                    index.tell()
                    await tree.flush()
            pool = in_chain(cache.held(), index.chain, index.root, page)
            print(
                f"\npages of {page}: {index.heard.counts['stored']} stored, {index.heard.counts['removed']} removed, "
                f"{pool.engine_blocks} held, {len(pool.blocks)} blocks of the chain held and believed"
            )
            assert index.heard.complete
            assert index.heard.counts["removed"] > 100
            assert len(pool.blocks) > 20
            sockets.close()
    finally:
        publisher.shutdown()
        context.destroy(linger=0)
