"""KV events as vLLM publishes them (`--kv-events-config`): blocks stored and removed, in batches of one step.

Wire format of vLLM 0.24 and later: frames topic, sequence (8 bytes, big-endian, from 0 per process) and a msgpack array
[seconds, events, rank] whose events are maps with their kind under `type`. What must not be broken: a stored block is
published only when the step that computes it has ended; there is one removal per physical block, duplicates included.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from loadtests.engine.job import Job

GPU = "GPU"
PORT = re.compile(r"(tcp://.*:)([0-9]+)")


class KvEventsConfig(msgspec.Struct, frozen=True):
    """The JSON of vLLM's flag, as far as it is emulated."""

    enable_kv_cache_events: bool = False
    endpoint: str = "tcp://*:5557"
    replay_endpoint: str | None = None
    buffer_steps: int = 10_000
    """Batches that can be asked for again."""
    hwm: int = 100_000
    topic: str = ""

    def of_rank(self, rank: int) -> "KvEventsConfig":
        """As vLLM resolves it for one of several ranks: its TCP ports are higher by its number."""
        if not rank:
            return self
        endpoint, replays = _shifted(self.endpoint, rank), _shifted(self.replay_endpoint or "", rank)
        return msgspec.structs.replace(self, endpoint=endpoint, replay_endpoint=replays or None)


def _shifted(endpoint: str, rank: int) -> str:
    found = PORT.fullmatch(endpoint)
    return f"{found[1]}{int(found[2]) + rank}" if found is not None else endpoint


class BlockStored(msgspec.Struct, omit_defaults=True, tag=True):
    """Consecutive blocks of one prompt. The first seven fields are always on the wire, as in vLLM."""

    block_hashes: list[int]
    parent_block_hash: int | None
    token_ids: list[int]
    block_size: int
    lora_id: int | None
    medium: str | None
    lora_name: str | None
    extra_keys: list[list[str] | None] | None = None
    """Per block what its hash covers besides tokens: the adapter, and in the first block the cache salt."""


class BlockRemoved(msgspec.Struct, omit_defaults=True, tag=True):
    """A block was taken for something else."""

    block_hashes: list[int]
    medium: str | None


class AllBlocksCleared(msgspec.Struct, omit_defaults=True, tag=True):
    """The whole cache was forgotten."""


Event = BlockStored | BlockRemoved | AllBlocksCleared


class Batch(msgspec.Struct, array_like=True):
    """What is sent at once."""

    ts: float
    """Unix time."""
    events: list[Event]
    data_parallel_rank: int


class KvEvents:
    """The events of one engine's pool that are not published yet."""

    def __init__(self, block_tokens: int) -> None:
        self._block_tokens = block_tokens
        self._running: list[Event] = []
        """Events of the step that has not ended."""
        self._ended: list[Event] = []

    def stored(self, job: Job, start: int, end: int) -> None:
        """The job's blocks from `start` to `end` are being computed."""
        origin, size = job.origin, self._block_tokens
        ids = [] if origin is None else origin.ids[start * size : end * size].tolist()
        self._running.append(
            BlockStored(
                block_hashes=list(job.chain[start:end]),
                parent_block_hash=job.chain[start - 1] if start else None,
                token_ids=ids,
                block_size=size,
                lora_id=None,
                medium=GPU,
                lora_name=None if origin is None else origin.lora,
                extra_keys=None if origin is None else origin.extra_keys(start, end),
            )
        )

    def removed(self, block_hash: int) -> None:
        """A block was overwritten."""
        self._running.append(BlockRemoved([block_hash], GPU))

    def cleared(self) -> None:
        """Everything was forgotten, between steps."""
        self._ended.append(AllBlocksCleared())

    def step_ended(self) -> None:
        """The events gathered since the last call may be published now."""
        self._ended += self._running
        self._running = []

    def take(self) -> list[Event]:
        """Take the events that may be published."""
        taken, self._ended = self._ended, []
        return taken


class KvFeed:
    """One engine process's stream of batches, and its last batches for subscribers that missed them."""

    def __init__(
        self,
        config: KvEventsConfig,
        block_tokens: int,
        send: Callable[[Sequence[bytes]], None],
        clock: Callable[[], float] = time.time,
        rank: int = 0,
    ) -> None:
        self._rank = rank
        self.config = config
        self._block_tokens = block_tokens
        self._send = send
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """The process was replaced: the sequence begins anew, the buffer is lost."""
        self.events = KvEvents(self._block_tokens)
        self._sequence = 0
        self._buffer: deque[tuple[int, bytes]] = deque(maxlen=self.config.buffer_steps)

    def publish(self) -> None:
        """Publish the finished events; nothing when there are none."""
        events = self.events.take()
        if not events:
            return
        payload = msgspec.msgpack.encode(Batch(self._clock(), events, self._rank))
        self._buffer.append((self._sequence, payload))
        self._send(self.frames(self._sequence, payload))
        self._sequence += 1

    def since(self, sequence: int) -> list[Sequence[bytes]]:
        """The buffered batches from this one on, as they were sent."""
        return [self.frames(number, payload) for number, payload in self._buffer if number >= sequence]

    def frames(self, sequence: int, payload: bytes) -> Sequence[bytes]:
        """Topic, sequence, payload."""
        return (self.config.topic.encode(), sequence.to_bytes(8, "big"), payload)
