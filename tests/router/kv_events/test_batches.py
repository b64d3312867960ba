"""Every dialect reads the same, and nothing that an engine could send does more than to be counted."""

import random
from collections import Counter
from typing import Any

import msgspec
import pytest

from router.kv_events.batches import HASH_MASK, MAX_EVENTS, BatchReader, Cleared, Event, Removed, Stored
from tokenizer_cache.conversations.chain import pack

IDS = list(range(32))
STORED = Stored([7, 8], 5, pack(IDS), 16)
MAP = {
    "type": "BlockStored",
    "block_hashes": [7, 8],
    "parent_block_hash": 5,
    "token_ids": IDS,
    "block_size": 16,
    "lora_id": None,
    "medium": "GPU",
    "lora_name": None,
}


def batch(*events: Any) -> bytes:
    return msgspec.msgpack.encode([1.0, list(events), 0])


def read(*events: Any) -> tuple[list[Event], dict[str, int]]:
    counts: Counter[str] = Counter()
    return list(BatchReader(counts).read(batch(*events))), dict(counts)


@pytest.mark.parametrize(
    "raw",
    [
        MAP,
        {**MAP, "extra_keys": [None, None], "group_idx": 0, "kv_cache_spec_kind": "full_attention", "new_field": {}},
        {key: value for key, value in MAP.items() if key != "medium"},
        {**MAP, "medium": "gpu", "session_id": "x"},
        ["BlockStored", [7, 8], 5, IDS, 16, None],
        ["BlockStored", [7, 8], 5, IDS, 16, None, "GPU", None, [None, None], 1, "mla_attention", None, "LOCAL"],
        {**MAP, "token_ids": [[each, each + 1] for each in IDS]},
    ],
    ids=["map", "later fields", "without medium", "sglang", "old array", "array", "pairs"],
)
def test_dialects(raw: Any) -> None:
    assert read(raw) == ([STORED], {})


@pytest.mark.parametrize(
    "raw", [["BlockRemoved", [7]], ["BlockRemoved", [7], "GPU"], {"type": "BlockRemoved", "block_hashes": [7]}]
)
def test_removals(raw: Any) -> None:
    assert read(raw, ["AllBlocksCleared"], {"type": "AllBlocksCleared"}) == ([Removed([7]), Cleared(), Cleared()], {})


def test_hashes_are_one_number_whatever_their_form() -> None:
    digest = bytes(range(32))
    raw = {"type": "BlockRemoved", "block_hashes": [-1, HASH_MASK, digest, int.from_bytes(digest[-8:], "big")]}
    events, _ = read(raw)
    (removed,) = events
    assert isinstance(removed, Removed)
    assert removed.hashes[0] == removed.hashes[1]
    assert removed.hashes[2] == removed.hashes[3]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"medium": "CPU"}, "other_medium"),
        ({"medium": 3}, "other_medium"),
        ({"lora_name": "a"}, "simulated"),
        ({"lora_id": 0}, "simulated"),
        ({"cache_salt": "s"}, "simulated"),
        ({"extra_keys": [["salt"], None]}, "simulated"),
        ({"extra_keys": 5}, "simulated"),
        ({"token_ids": IDS[:31]}, "partial"),
        ({"block_hashes": [], "token_ids": []}, "partial"),
        ({"block_size": 0, "token_ids": []}, "partial"),
        ({"block_size": True}, "malformed"),
        ({"block_hashes": "77"}, "malformed"),
        ({"block_hashes": [7, "8"]}, "malformed"),
        ({"block_hashes": [7, b"short"]}, "malformed"),
        ({"parent_block_hash": 1.5}, "malformed"),
        ({"token_ids": [-1, *IDS[1:]]}, "malformed"),
        ({"token_ids": ["x", *IDS[1:]]}, "malformed"),
        ({"token_ids": [[1, 2, 3], *IDS[1:]]}, "malformed"),
        ({"token_ids": [1 << 40, *IDS[1:]]}, "malformed"),
        ({"kv_cache_spec_kind": "sliding_window"}, "other_group"),
        ({"kv_cache_spec_kind": ["x"]}, "other_group"),
        ({"type": "Other"}, "unknown"),
        ({"type": ["BlockStored"]}, "unknown"),
    ],
)
def test_what_does_not_count_is_counted_and_the_rest_of_its_batch_counts(change: dict[str, Any], reason: str) -> None:
    assert read({**MAP, **change}, MAP) == ([STORED], {reason: 1})


def test_removals_of_groups_that_are_left_out_are_left_out() -> None:
    window = {**MAP, "group_idx": 1, "kv_cache_spec_kind": "sliding_window"}
    removed = {"type": "BlockRemoved", "block_hashes": [7]}
    events, counts = read(window, {**removed, "group_idx": 1}, {**removed, "group_idx": 0})
    assert (events, counts) == ([Removed([7])], {"other_group": 2})


@pytest.mark.parametrize(
    "payload", [b"", b"\xc1", b"\x81\xa1a\x01", b"\x90", b"\x92\x01\x02", b"\x91" * 5000, bytes(100)]
)
def test_no_batch(payload: bytes) -> None:
    counts: Counter[str] = Counter()
    assert list(BatchReader(counts).read(payload)) == []
    assert counts == {"malformed": 1}


def test_odd_events_and_too_many_of_them() -> None:
    assert read(None, 5, [], "x", [None])[1] == {"malformed": 4, "unknown": 1}
    counts: Counter[str] = Counter()
    assert len(list(BatchReader(counts).read(batch(*[["AllBlocksCleared"]] * (MAX_EVENTS + 3))))) == MAX_EVENTS
    assert counts == {"malformed": 3}


def test_noise_never_raises() -> None:
    rng = random.Random(1)
    whole = batch(MAP, ["BlockRemoved", [7]], {"type": "AllBlocksCleared"})
    reader = BatchReader(Counter())
    for _ in range(3000):
        cut = bytearray(whole[: rng.randint(1, len(whole))])
        for _ in range(rng.randint(0, 5)):
            cut[rng.randrange(len(cut))] = rng.randrange(256)
        list(reader.read(bytes(cut)))
