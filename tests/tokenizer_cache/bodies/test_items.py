"""Digests of a conversation's starts, and the marks that do not count in them."""

import json
from typing import Any

import msgspec
import pytest

from tokenizer_cache.bodies.items import Items, Start, StartKeys, digests, first_marked, unmarked
from tokenizer_cache.conversations.keyed import KeyedHash

KEYED = KeyedHash(b"items")


def items(*messages: Any) -> list[msgspec.Raw]:
    return [msgspec.Raw(json.dumps(message).encode()) for message in messages]


def test_starts_are_known_by_all_that_comes_before() -> None:
    one = [StartKeys(b"c", Items(items("a", "b", "c"), KEYED))[place] for place in range(4)]
    other = [StartKeys(b"c", Items(items("a", "x", "c"), KEYED))[place] for place in range(4)]
    assert one[:2] == other[:2]
    assert not set(one[2:]) & set(other[2:])
    assert not set(one) & set(StartKeys(b"d", Items(items("a", "b", "c"), KEYED))[:])
    assert not set(one[1:]) & set(StartKeys(b"c", Items(items("a", "b", "c"), KeyedHash(b"other")))[1:])


def test_a_key_can_be_asked_for_from_the_end() -> None:
    keys = StartKeys(b"c", Items(items("a", "b"), KEYED))
    assert (len(keys), keys[-1], keys[-3]) == (3, keys[2], keys[0])


def test_unread_items_are_read_only_when_asked_for() -> None:
    asked = []
    everything = Items(items("a", "b", "c", "d"), KEYED)

    def read_all() -> Items:
        asked.append(1)
        return everything

    some = Items(items("c", "d"), KEYED, everything.start(2), read_all)
    assert len(some) == 4
    assert [some.digest(place) for place in (2, 3, 4)] == [everything.digest(place) for place in (2, 3, 4)]
    assert list(map(bytes, some.since(3))) == [b'"d"']
    assert not asked
    assert some.digest(1) == everything.digest(1)
    assert list(map(bytes, some.since(1))) == [b'"b"', b'"c"', b'"d"']
    assert asked == [1]


def test_digests_continue_from_any_start() -> None:
    whole = digests(b"", items("a", "b", "c"), KEYED)
    assert digests(whole[1], items("b", "c"), KEYED) == whole[1:]
    assert Items(items("a", "b"), KEYED).start(2) == Start(2, whole[2])


def marked(text: str, mark: bool = True) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": text}
    return {"role": "user", "content": [block | ({"cache_control": {"type": "ephemeral"}} if mark else {})]}


@pytest.mark.parametrize("place", [0, 1, 20])
def test_a_cache_mark_does_not_count_wherever_it_stands(place: int) -> None:
    some = [marked(f"m{number}", number == place) for number in range(30)]
    bare = [marked(f"m{number}", False) for number in range(30)]
    assert list(map(bytes, unmarked(items(*some)))) == list(map(bytes, items(*bare)))
    assert list(map(bytes, unmarked(items(*bare)))) == list(map(bytes, items(*bare)))
    assert (first_marked(items(*some)), first_marked(items(*bare))) == (place, 30)


MARK = {"cache_control": {"type": "ephemeral"}}
LONG_MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
TEXT = {"type": "text", "text": "hi"}
KEPT = [
    {"role": "assistant", "content": [{"type": "tool_use", "input": {"a": 1, **MARK}}]},
    {"role": "assistant", "content": [{"type": "tool_use", "input": {"a": [{"a": 1, **MARK}]}}]},
    {"role": "user", "content": json.dumps([{"a": 1, **MARK}])},
    {"role": "user", "content": [{"type": "text", "text": json.dumps({"a": [{"a": 1, **MARK}]})}]},
    {"role": "user", "content": [{"type": "tool_result", "content": [{**TEXT, **MARK}]}]},
    {"role": "user", "content": [{**TEXT, **MARK}, TEXT]},
    {"role": "user", "content": [{**TEXT, "cache_control": {"type": "persistent"}}]},
    {"role": "user", "content": [{**TEXT, "cache_control": {"type": "ephemeral", "text": "more"}}]},
    {"role": "user", "content": [MARK]},
    {"role": "user", "content": {**TEXT, **MARK}},
    {"role": "user", "content": [[{**TEXT, **MARK}]]},
    {"role": "user", "content": [TEXT], "tool": {"a": [{"a": 1, **MARK}]}},
    {"role": "user", "content": [TEXT], **MARK},
    [[{**TEXT, **MARK}]],
]


@pytest.mark.parametrize("message", KEPT)
def test_what_only_looks_like_a_cache_mark_counts(message: Any) -> None:
    for separators in ((", ", ": "), (",", ":")):
        raw = msgspec.Raw(json.dumps(message, separators=separators).encode())
        assert bytes(unmarked([raw])[0]) == bytes(raw)


@pytest.mark.parametrize("mark", [MARK, LONG_MARK])
@pytest.mark.parametrize("kind", ["text", "tool_use", "tool_result"])
def test_a_mark_of_the_last_block_does_not_count(kind: str, mark: dict[str, Any]) -> None:
    block = {"type": kind, "text": "hi", "input": {"a": 1, **MARK}, "content": "hi"}
    for message in ({"role": "user", "content": [TEXT, block]}, {"content": [TEXT, block], "role": "user"}):
        for separators in ((", ", ": "), (",", ":")):
            marked = json.dumps(message, separators=separators).replace(
                '"hi"}]', '"hi"}]'[:4] + json.dumps(mark, separators=separators).replace("{", separators[0], 1) + "]"
            )
            assert json.loads(marked)["content"][-1] == {**block, **mark}
            assert bytes(unmarked([msgspec.Raw(marked.encode())])[0]).decode() == json.dumps(
                message, separators=separators
            )


def test_marks_count_where_the_api_has_none() -> None:
    some, bare = items(marked("a")), items(marked("a", False))
    assert Items(some, KEYED).digest(1) != Items(bare, KEYED).digest(1)
    one = Items(some, KEYED, may_bear_marks=True)
    assert one.digest(1) == Items(bare, KEYED, may_bear_marks=True).digest(1)
