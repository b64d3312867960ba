"""KV events of the emulated engine against those of a real vLLM: the same requests, the same blocks stored and removed.

Skipped unless WARMROUTE_REAL_VLLM and WARMROUTE_REAL_EVENTS (the PUB endpoint, tcp://host:port) are set.
"""

import json
import os
import random
import time
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
import zmq

from loadtests.ports import ports
from tests.engines import EngineProcess
from tests.real.server import RealServer
from tests.real.test_emulated_engine import NULL_BLOCKS, cache_config, random_ids

EVENTS = os.environ.get("WARMROUTE_REAL_EVENTS", "")
QUIET_MS = 1500
"""With no batch for so long all of a request's have come."""

pytestmark = [
    pytest.mark.skipif(not EVENTS, reason="WARMROUTE_REAL_EVENTS is not set"),
    pytest.mark.timeout(900),
]


class Told(NamedTuple):
    """One event, in terms that both engines share: hashes are each one's own."""

    kind: str
    ids: tuple[int, ...]
    parent: tuple[int, ...] | None
    rest: tuple[Any, ...]


class Listener:
    """Hears one engine."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> None:
        self._socket = context.socket(zmq.SUB)
        self._socket.subscribe(b"")
        self._socket.connect(endpoint)
        self._blocks: dict[object, tuple[int, ...]] = {}
        self.sequences: list[int] = []

    def hear(self) -> list[Told]:
        """Everything until it is quiet. Removals of blocks that were never told of are left out."""
        told: list[Told] = []
        while self._socket.poll(QUIET_MS):
            topic, sequence, payload = self._socket.recv_multipart()
            assert topic == b""
            self.sequences.append(int.from_bytes(sequence, "big"))
            _, events, rank = msgspec.msgpack.decode(payload)
            assert rank == 0
            told += [one for event in events for one in self._told(event)]
        return told

    def _told(self, event: dict[str, Any]) -> Iterator[Told]:
        if event["type"] == "BlockRemoved":
            for block in event["block_hashes"]:
                if block in self._blocks:
                    yield Told("removed", self._blocks[block], None, (event["medium"],))
            return
        assert event["type"] == "BlockStored", event
        ids, size = event["token_ids"], event["block_size"]
        for place, block in enumerate(event["block_hashes"]):
            self._blocks[block] = tuple(ids[place * size : (place + 1) * size])
        parent = event["parent_block_hash"]
        rest = (size, event["lora_id"], event["medium"], event["lora_name"], event.get("extra_keys"))
        yield Told("stored", tuple(ids), None if parent is None else self._blocks[parent], rest)


def test_the_same_blocks_are_stored_and_removed(server: RealServer) -> None:
    labels = cache_config(server.client.get("/metrics").text)
    block, blocks = int(labels["block_size"]), int(labels["num_gpu_blocks"]) - NULL_BLOCKS
    (port,) = ports(1)
    config = {"enable_kv_cache_events": True, "endpoint": f"tcp://*:{port}"}
    engine = EngineProcess(
        model=server.model, block_tokens=block, kv_tokens=block * blocks, kv_events_config=json.dumps(config)
    )
    rng, salt, context = random.Random(9), uuid.uuid4().hex, zmq.Context()
    sessions = [random_ids(rng, rng.randint(4000, 9000)) for _ in range(6)]
    try:
        with engine, httpx.Client(base_url=engine.url) as emulated:
            listeners = [Listener(context, EVENTS), Listener(context, f"tcp://127.0.0.1:{port}")]
            time.sleep(1)  # subscriptions take a moment to arrive
            kinds: set[str] = set()
            for _ in range(18):
                ids = rng.choice(sessions)
                ids.extend(random_ids(rng, rng.randint(20, 900)))
                body = {"model": server.model, "prompt": ids, "max_tokens": 1, "cache_salt": salt}
                for client in (server.client, emulated):
                    client.post("/v1/completions", json=body).raise_for_status()
                real, ours = (listener.hear() for listener in listeners)
                assert _joined(ours) == _joined(real)
                kinds.update(one.kind for one in real)
            assert kinds == {"stored", "removed"}
            for listener in listeners:
                first = listener.sequences[0]
                assert listener.sequences == list(range(first, first + len(listener.sequences)))
    finally:
        context.destroy(linger=0)


def _joined(told: list[Told]) -> list[Told]:
    """Removals in order, then what was stored as one run of tokens: a prompt's chunks may be cut elsewhere."""
    removed = [one for one in told if one.kind == "removed"]
    stored = [one for one in told if one.kind == "stored"]
    if not stored:
        return removed
    first = stored[0]
    size, *rest, extra = first.rest
    whole = first._replace(
        ids=tuple(token for one in stored for token in one.ids), rest=(size, *rest, extra and extra[0])
    )
    return [*removed, whole]
