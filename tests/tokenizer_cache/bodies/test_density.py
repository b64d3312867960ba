"""What a JSON text holds is told before it is decoded, as a decoder would count it, and nothing honest is refused."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenizer_cache.bodies.density import (
    MAX_BODY_VALUES,
    MAX_FIELDS,
    MAX_ITEMS,
    MAX_VALUES,
    _is_loose,
    _marks,
    _structure,
    check_crowds,
    refuse_dense,
)
from tokenizer_cache.prompt import BadRequest
from tokenizer_cache.rules import NotExact

ITEM = '{"role":"user","content":"a, [b] {c} \\\\\\" d"}'


def body(items: str, count: int, name: str = "messages", before: str = "") -> bytes:
    return f'{{"model":"m",{before}"{name}" : [{",".join([items] * count)}]}}'.encode()


def refusal(raw: bytes) -> str:
    with pytest.raises(BadRequest) as refused:
        check_crowds(raw)
    return refused.value.message


@pytest.mark.parametrize("item", ["0", "-1.5e3", "null", '""', "{}", "[]", "[{}]", ITEM, "[1,2,3]", '{"a":[0,0]}'])
@pytest.mark.parametrize("name", ["messages", "input", "mess\\u0061ges"])
def test_one_item_too_many_is_refused_and_the_last_one_allowed_is_not(item: str, name: str) -> None:
    check_crowds(body(item, MAX_ITEMS, name))
    assert refusal(body(item, MAX_ITEMS + 1, name)) == f"Too many messages: at most {MAX_ITEMS} are accepted."


def test_a_list_is_counted_wherever_it_stands() -> None:
    decoys = '"x":{"messages":[0,0]},"messages":[0],"y":"\\"messages\\":[",' * 3
    assert "messages" in refusal(body("0", MAX_ITEMS + 1, before=decoys))
    assert "messages" in refusal(body("0", MAX_ITEMS + 1).replace(b":", b" \n : \t"))


def test_too_many_fields_and_values_are_refused() -> None:
    assert "fields" in refusal(body("0", 1, before='"messages":[0],' * MAX_FIELDS))
    assert "values" in refusal(body("{}", MAX_BODY_VALUES * 2, name="tools"))


def test_lists_of_numbers_and_punctuation_in_text_are_no_crowd() -> None:
    check_crowds(body("151643", 500_000, name="input_ids"))
    check_crowds(body('{"role":"user","content":"' + ",[{}]" * 100_000 + '"}', 2))
    refuse_dense('{"a":"' + ",[{}]" * 100_000 + '"}')


@given(st.text('"\\,[]{}:a ', max_size=80), st.sampled_from(["{}", "[{}]", '"{}"', '{{"a":[{}]}}', '{{"a":"{}"}}']))
def test_the_structure_is_what_stands_outside_strings(text: str, around: str) -> None:
    """Whole texts and slices of one quote give the same, whether they are JSON or not."""
    raw = around.format(text).encode()
    bare = bytes(mark for mark, count, _ in _marks(raw) for _ in range(count))
    assert _structure(raw) == _structure(raw, 1) == bare


@pytest.mark.parametrize("item", ["0", "{}", '"a"', "[[0]]", ITEM])
@pytest.mark.parametrize("name", ["tools", "messages"])
def test_no_list_that_is_too_long_is_let_through_for_its_structure(item: str, name: str) -> None:
    assert _is_loose(body(item, MAX_FIELDS, name))
    assert not _is_loose(body(item, MAX_FIELDS + 1, name))
    assert not _is_loose(body(item, MAX_FIELDS + 1, name)[:-2])
    assert _is_loose(body(item, 2, before=f'"x":{"[" * 20}{"]" * 20},'))


@pytest.mark.parametrize("value", ["0", "{}", '"a"', "[[]]"])
def test_a_dense_text_is_not_decoded(value: str) -> None:
    refuse_dense("[" + ",".join([value] * (MAX_VALUES // 4)) + "]")
    with pytest.raises(NotExact, match="dense"):
        refuse_dense("[" + ",".join([value] * (MAX_VALUES * 2 + 1)) + "]")


@given(st.lists(st.text('"\\,[]{}: a', max_size=20), min_size=1, max_size=20), st.integers(0, 3))
def test_any_strings_are_skipped(strings: list[str], extra: int) -> None:
    text = [*strings, "x" * MAX_FIELDS]
    count = MAX_ITEMS + 1 - len(text) - (extra > 0)
    raw = json.dumps({"messages": text + [0] * count}, ensure_ascii=False).encode()
    assert len(msgspec.json.decode(raw)["messages"]) == MAX_ITEMS + 1 - (extra > 0)
    if extra:
        check_crowds(raw)
    else:
        assert "messages" in refusal(raw)
