"""Reads batches of KV events: vLLM's and SGLang's, events as maps or as arrays. The only place that trusts nothing.

What comes out is bounded and of known types. An event that is not is dropped and counted by reason, and the others of
its batch count. Hashes become numbers of 64 bits, signed and unsigned ones and digests alike.
"""

from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

MAX_BATCH_BYTES = 64 << 20
"""A batch of a million stored token ids has about 5 MB."""
MAX_EVENTS = 100_000
MAX_BLOCK_TOKENS = 1 << 16
HASH_MASK = (1 << 64) - 1
STORED_FIELDS = (
    "type", "block_hashes", "parent_block_hash", "token_ids", "block_size", "lora_id", "medium", "lora_name",
    "extra_keys", "group_idx", "kv_cache_spec_kind",
)  # fmt: skip
REMOVED_FIELDS = ("type", "block_hashes", "medium", "group_idx")
WHOLE_KINDS = frozenset({None, "full_attention", "mla_attention"})
"""Kinds of attention whose blocks a prefix needs all of. Danger: others keep a few, and would be credited blindly."""


class Stored(NamedTuple):
    """Consecutive blocks that an engine holds from now on."""

    hashes: list[int]
    parent: int | None
    """The hash of the block before them; None where they begin a prompt."""
    ids: bytes
    """Their token ids, 4 bytes each."""
    block_tokens: int


class Removed(NamedTuple):
    """Blocks that it holds no more, one for each physical copy."""

    hashes: list[int]


class Cleared(NamedTuple):
    """It holds nothing any more."""


Event = Stored | Removed | Cleared


class BatchReader:
    """Reads one source's batches: it remembers which of the engine's groups are left out."""

    def __init__(self, counts: "Counter[str]") -> None:
        """`counts`: dropped events by reason."""
        self._counts = counts
        self._left_out: set[int] = set()

    def read(self, payload: bytes) -> Iterator[Event]:
        """The events of one batch that count."""
        for raw in self._events(payload):
            try:
                event = self._event(_fields(raw))
            except _Dropped as reason:
                self._counts[str(reason)] += 1
                continue
            if event is not None:
                yield event

    def _events(self, payload: bytes) -> list[Any]:
        try:
            batch = msgspec.msgpack.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            batch = None
        if not (isinstance(batch, list) and len(batch) >= 2 and isinstance(batch[1], list)):
            self._counts["malformed"] += 1
            return []
        if len(batch[1]) > MAX_EVENTS:
            self._counts["malformed"] += len(batch[1]) - MAX_EVENTS
        return batch[1][:MAX_EVENTS]

    def _event(self, fields: dict[str, Any]) -> Event | None:
        kind = fields.get("type")
        if kind == "AllBlocksCleared":
            return Cleared()
        if kind not in ("BlockStored", "BlockRemoved"):
            raise _Dropped("unknown")
        if str(fields.get("medium") or "gpu").lower() != "gpu":
            raise _Dropped("other_medium")
        group = fields.get("group_idx")
        if kind == "BlockRemoved":
            if isinstance(group, int) and group in self._left_out:
                raise _Dropped("other_group")
            return Removed(_hashes(fields.get("block_hashes")))
        if not _is_whole(fields.get("kv_cache_spec_kind")):
            if isinstance(group, int) and len(self._left_out) < MAX_EVENTS:
                self._left_out.add(group)
            raise _Dropped("other_group")
        return _stored(fields)


def _stored(fields: dict[str, Any]) -> Stored:
    if fields.get("lora_id") is not None or fields.get("lora_name") or fields.get("cache_salt"):
        raise _Dropped("simulated")
    extra = fields.get("extra_keys")
    if extra is not None and (not isinstance(extra, list) or any(extra)):
        raise _Dropped("simulated")
    size, hashes, ids = fields.get("block_size"), _hashes(fields.get("block_hashes")), fields.get("token_ids")
    if type(size) is not int or not isinstance(ids, list):
        raise _Dropped("malformed")
    if not 0 < size <= MAX_BLOCK_TOKENS or not hashes or len(ids) != len(hashes) * size:
        raise _Dropped("partial")  # placeholders of other tiers, or blocks of which some are masked
    parent = fields.get("parent_block_hash")
    return Stored(hashes, None if parent is None else _hash(parent), _packed(ids), size)


def _packed(ids: list[Any]) -> bytes:
    """Token ids, 4 bytes each. With speculation SGLang names each id together with the next one."""
    try:
        if ids and isinstance(ids[0], list):
            ids = [first for first, _ in ids]
        return array("I", ids).tobytes()
    except (TypeError, ValueError, OverflowError):
        raise _Dropped("malformed") from None


def _hashes(found: Any) -> list[int]:
    if not isinstance(found, list):
        raise _Dropped("malformed")
    return [_hash(each) for each in found]


def _hash(found: Any) -> int:
    if type(found) is int:
        return found & HASH_MASK
    if isinstance(found, bytes) and len(found) >= 8:
        return int.from_bytes(found[-8:], "big")
    raise _Dropped("malformed")


def _is_whole(kind: Any) -> bool:
    return kind is None or (isinstance(kind, str) and kind in WHOLE_KINDS)


def _fields(raw: Any) -> dict[str, Any]:
    """An event by the names of its fields. Arrays have theirs in a fixed order, and leave out the last ones."""
    if isinstance(raw, dict):
        return raw
    if isinstance(raw, list) and raw:
        return dict(zip(REMOVED_FIELDS if raw[0] == "BlockRemoved" else STORED_FIELDS, raw, strict=False))
    raise _Dropped("malformed")


class _Dropped(Exception):
    """Why an event does not count: a metric label."""
