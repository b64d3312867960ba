"""Bodies that every JSON reader reads alike, and those that two readers might read in two ways."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenizer_cache.bodies.once import fields_once


@pytest.mark.parametrize(
    "body",
    [b"{}", b" { \n} ", b'{"a":1}', b'\t{ "a" : {"a":2} ,\r\n"b":"}" }\n', '{"é":[1, {"é": 2}]}'.encode()],
)
def test_each_field_once(body: bytes) -> None:
    table = fields_once(body)
    assert table is not None
    assert {name: json.loads(bytes(value)) for name, value in table.items()} == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"a":1} x',
        b'{"a":1}{"a":1}',
        b'{"a":1,"a":1}',
        b'{"a":1,"b":2,"a":3}',
        b'{"a":3,"b":2,"a":3}',
        b'{"b":[],"a":1,"a":2,"c":1}',
        b'{"\\u0061":1}',
        b'{"a":1,"\\u0061":1}',
        b'{"\\/a":1}',
        b'{"\xff":1}',
        b'{"a":' + b"[" * 100_000,
    ],
)
def test_bodies_that_readers_could_take_differently_are_left(body: bytes) -> None:
    assert fields_once(body) is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["model", "a", "b", ""]), st.sampled_from(['"x"', "{}", '{"model":"a"}', "[]"]))
    ),
    st.sampled_from(["", " ", "\n\t"]),
)
def test_a_name_twice_is_never_overlooked(pairs: list[tuple[str, str]], space: str) -> None:
    body = "{" + ",".join(f'{space}"{name}"{space}:{space}{value}{space}' for name, value in pairs) + "}"
    names = [name for name, _ in pairs]
    assert (fields_once(body.encode()) is not None) == (len(set(names)) == len(names))
