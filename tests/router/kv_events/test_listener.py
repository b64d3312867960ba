"""From batches to news: in order, in bounded messages, and anew after whatever leaves a hole."""

from typing import Any

import msgspec

from router.kv_events import ledger
from router.kv_events import listener as module
from router.kv_events.listener import Listener
from router.kv_events.stream import Sign
from router.kv_events.wire import EventSource, News
from tokenizer_cache.conversations.chain import ID_BYTES, Chain, pack

SECRET = b"secret"
CHAIN = Chain(64 * ID_BYTES, SECRET)
ROOTS = (CHAIN.root(b"one"), CHAIN.root(b"two"))
SOURCE = EventSource(key="w", events="tcp://h:1", roots=ROOTS[:1], cell_bytes=64 * ID_BYTES)
IDS = list(range(640))
MOST = 256
CLEARED = {"type": "AllBlocksCleared"}


def stored(first: int, last: int, size: int = 64) -> dict[str, Any]:
    return {
        "type": "BlockStored",
        "block_hashes": list(range(first + 1, last + 1)),
        "parent_block_hash": first or None,
        "token_ids": IDS[first * size : last * size],
        "block_size": size,
    }


def other(number: int) -> dict[str, Any]:
    """A prompt of one block that begins like no other one."""
    return {"type": "BlockStored", "block_hashes": [1000 + number], "token_ids": [number] * 64, "block_size": 64}


def batch(*events: Any) -> bytes:
    return msgspec.msgpack.encode([1.0, events, 0])


def chain_of(blocks: int, root: bytes = ROOTS[0]) -> bytes:
    return CHAIN.extend(root, b"", pack(IDS[: blocks * 64]))[0]


def news_of(listener: Listener, most: int = MOST) -> tuple[list[bytes], list[bytes], bool]:
    found = listener.news(most)
    lost = [chain for each in found for chain in each.lost]
    return lost, [chain for each in found for chain in each.held], any(each.cleared for each in found)


def test_what_is_stored_and_removed() -> None:
    listener = Listener(SOURCE, SECRET)
    listener.take([batch(stored(0, 4))])
    assert news_of(listener) == ([], [chain_of(4)], False)
    listener.take([batch({"type": "BlockRemoved", "block_hashes": [3]})])
    assert news_of(listener) == ([chain_of(3)], [], False)
    assert listener.news(MOST) == []


def test_each_name_of_the_model_has_its_chains() -> None:
    listener = Listener(msgspec.structs.replace(SOURCE, roots=ROOTS), SECRET)
    listener.take([batch(stored(0, 2))])
    assert set(news_of(listener)[1]) == {chain_of(2, root) for root in ROOTS}


def test_counts_are_told_once() -> None:
    listener = Listener(SOURCE, SECRET)
    listener.take([batch(stored(0, 2), {"type": "Other"}), b"noise"])
    (first,) = listener.news(MOST)
    assert first.counts == {"batches": 2, "stored": 2, "unknown": 1, "malformed": 1}
    assert first.blocks == 2
    assert listener.news(MOST) == []


def test_a_restart_clears_and_a_hole_does_not() -> None:
    for mark, cleared in ((Sign.RESTARTED, True), (Sign.MISSED, False)):
        listener = Listener(SOURCE, SECRET)
        listener.take([batch(stored(0, 2))])
        listener.news(MOST)
        listener.take([mark, batch(stored(2, 4))])
        assert news_of(listener) == ([], [], cleared)
        listener.take([batch(stored(0, 1))])
        assert news_of(listener) == ([], [chain_of(1)], False)


def test_what_was_before_the_cache_was_cleared_is_not_told() -> None:
    listener = Listener(SOURCE, SECRET)
    listener.take([batch(stored(0, 2), CLEARED, stored(0, 1))])
    assert news_of(listener) == ([], [chain_of(1)], True)
    assert listener.stream.complete, "it holds nothing, so all is known"


def test_a_full_ledger_begins_anew(monkeypatch: Any) -> None:
    listener = Listener(SOURCE, SECRET)
    listener.stream.complete = True
    monkeypatch.setattr(listener._ledgers[0], "_max_blocks", 3)
    listener.take([batch(stored(0, 3), stored(3, 5))])
    assert news_of(listener) == ([], [], False)
    assert not listener.stream.complete


def test_more_chains_than_are_told_begin_anew(monkeypatch: Any) -> None:
    monkeypatch.setattr(ledger, "MAX_CHAIN_BYTES", 40)
    listener = Listener(SOURCE, SECRET)
    listener.stream.complete = True
    listener.take([batch(stored(0, 5))])
    assert news_of(listener) == ([], [chain_of(5)], False)
    listener.take([batch(stored(5, 6))])
    assert news_of(listener) == ([], [], False)
    assert not listener.stream.complete
    listener.take([batch(stored(0, 4))])
    assert news_of(listener) == ([], [chain_of(4)], False)


def test_messages_are_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MAX_TALK_BYTES", 100)
    listener = Listener(SOURCE, SECRET)
    listener._untold.extend([(False, chain_of(5))] * 7 + [(True, chain_of(9))] * 4 + [(False, chain_of(1))])
    found: list[News] = listener.news(MOST)
    assert [len(each.lost) for each in found] == [3, 3, 1, 0, 0, 1]
    assert [len(each.held) for each in found] == [0, 0, 0, 2, 2, 0]


def test_the_rest_is_told_later_in_the_order_in_which_it_happened() -> None:
    listener = Listener(SOURCE, SECRET)
    listener.take([batch(*(other(first) for first in range(5)))])
    early = [chain for _ in range(2) for chain in news_of(listener, most=2)[1]]
    assert len(set(early)) == 4
    listener.take([batch({"type": "BlockRemoved", "block_hashes": list(range(1000, 1005))})])
    lost, held, _ = news_of(listener, most=1)
    assert not lost
    assert len(held) == 1
    lost, later, _ = news_of(listener)
    assert set(lost) == {*early, *held}
    assert not later
    assert listener.news(MOST) == []


def test_made_up_prompts_are_no_more_than_wait_to_be_told(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MAX_UNTOLD", 3)
    listener = Listener(SOURCE, SECRET)
    listener.stream.complete = True
    listener.take([batch(*(other(first) for first in range(5)))])
    assert news_of(listener) == ([], [], False)
    assert not listener.stream.complete
