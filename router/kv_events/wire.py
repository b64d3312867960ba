"""What the router and its listening process say to each other, through the process's standard input and output.

Messages are msgpack behind four bytes of length. The listener reads what engines send, so its messages are bounded and
checked here like anything from outside.
"""

import struct
from typing import Annotated

import msgspec
from msgspec import Meta

MAX_MESSAGE_BYTES = 32 << 20
"""Orders for some 10,000 workers."""
MAX_TALK_BYTES = 1 << 20
"""Chains of one message: more of them go into the next one."""
MAX_TALK_CHAINS = 256
"""And their number. Danger: with more, one worker that makes prompts up stops the router's event loop, and fills the
queue in which all workers' records wait."""
LENGTH = struct.Struct(">I")
Name = Annotated[str, Meta(max_length=128)]
Count = Annotated[int, Meta(ge=0, le=1 << 53)]
Chains = Annotated[list[bytes], Meta(max_length=MAX_TALK_CHAINS)]


class EventSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where one worker's events come from, and how its prompts are hashed."""

    key: Name
    """The worker's holder: another engine process, or another format, is another source."""
    events: str
    """ZMQ address."""
    repeats: str = ""
    """Address that missing batches are asked from; empty for none."""
    topic: str = ""
    roots: tuple[bytes, ...]
    """The parent of each prompt's first block, for each name of the model."""
    cell_bytes: int
    """Size of a block of the chain, in packed ids."""


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """To the listener: follow these sources and no others."""

    secret: bytes
    sources: list[EventSource]


class News(msgspec.Struct, frozen=True, kw_only=True):
    """From the listener: what became of one source."""

    key: Name
    complete: bool
    """All that the engine ever stored and removed is known."""
    cleared: bool = False
    """The engine holds nothing, and what follows is new."""
    lost: Chains = []
    """Chains whose last block is gone."""
    held: Chains = []
    """Chains that are held as a whole."""
    counts: dict[Name, Count] = {}
    """What was heard since the last message, by kind."""
    blocks: Count = 0
    """Engine blocks that are known."""


def packed(message: Orders | News) -> bytes:
    """As it is written."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body


def read_orders(body: bytes) -> Orders:
    """Raises msgspec.DecodeError."""
    return _orders.decode(body)


def read_news(body: bytes) -> News:
    """Raises msgspec.DecodeError."""
    news = _news.decode(body)
    if any(len(chain) % 8 or not chain for chain in (*news.lost, *news.held)):
        raise msgspec.ValidationError("no chain")
    return news


_orders = msgspec.msgpack.Decoder(Orders)
_news = msgspec.msgpack.Decoder(News)
