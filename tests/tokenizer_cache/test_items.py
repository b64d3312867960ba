"""Digests of a conversation's starts, and the marks that do not count in them."""

import json
from typing import Any

import msgspec
import pytest

from tokenizer_cache.items import Items, Keys, Start, digests, first_marked, unmarked


def items(*messages: Any) -> list[msgspec.Raw]:
    return [msgspec.Raw(json.dumps(message).encode()) for message in messages]


def test_starts_are_known_by_all_that_comes_before() -> None:
    one = [Keys(b"c", Items(items("a", "b", "c")))[place] for place in range(4)]
    other = [Keys(b"c", Items(items("a", "x", "c")))[place] for place in range(4)]
    assert one[:2] == other[:2]
    assert not set(one[2:]) & set(other[2:])
    assert not set(one) & set(Keys(b"d", Items(items("a", "b", "c")))[:])
    assert not set(one[1:]) & set(Keys(b"c", Items(items("a", "b", "c"), seed=1))[1:])


def test_a_key_can_be_asked_for_from_the_end() -> None:
    keys = Keys(b"c", Items(items("a", "b")))
    assert (len(keys), keys[-1], keys[-3]) == (3, keys[2], keys[0])


def test_unread_items_are_read_only_when_asked_for() -> None:
    asked = []
    everything = Items(items("a", "b", "c", "d"), 7)

    def read_all() -> Items:
        asked.append(1)
        return everything

    some = Items(items("c", "d"), 7, everything.start(2), read_all)
    assert len(some) == 4
    assert [some.digest(place) for place in (2, 3, 4)] == [everything.digest(place) for place in (2, 3, 4)]
    assert list(map(bytes, some.since(3))) == [b'"d"']
    assert not asked
    assert some.digest(1) == everything.digest(1)
    assert list(map(bytes, some.since(1))) == [b'"b"', b'"c"', b'"d"']
    assert asked == [1]


def test_digests_continue_from_any_start() -> None:
    whole = digests(b"", items("a", "b", "c"), 3)
    assert digests(whole[1], items("b", "c"), 3) == whole[1:]
    assert Items(items("a", "b"), 3).start(2) == Start(2, whole[2])


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


def test_a_tool_input_of_the_same_name_is_left_alone() -> None:
    call = {
        "role": "assistant",
        "content": [{"type": "tool_use", "input": {"a": 1, "cache_control": {"type": "ephemeral"}}}],
    }
    quoted = {"role": "user", "content": json.dumps({"a": 1, "cache_control": {"type": "ephemeral"}})}
    assert list(map(bytes, unmarked(items(call, quoted)))) == list(map(bytes, items(call, quoted)))
