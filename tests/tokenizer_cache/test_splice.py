"""A field more: every other byte stays, and the field is there exactly once or last."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenizer_cache.request import parse
from tokenizer_cache.splice import with_field

CHAT = b'{"model":"m","messages":[{"role":"user","content":"hi}"}]%s}'
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_bytes_before_it_stay() -> None:
    body = CHAT % b', "seed" : 1e3 ' + b" \n"
    request = with_field(parse("chat", body), "cache_salt", b'"abc"')
    assert request.body == body[: body.rindex(b"}")] + b',"cache_salt":"abc"} \n'
    assert request.cache_salt == "abc"


@pytest.mark.parametrize(
    "theirs",
    [
        b',"cache_salt":"x"',
        b',"cache_salt":null',
        b',"cache_salt":{"a":[1]}',
        b',"cache_salt":"x","cache_salt":"y"',
        rb',"cache_\u0073alt":"x"',
        rb',"\u0063ache_salt":"x","cache_salt":"y"',
    ],
)
def test_the_clients_own_is_replaced(theirs: bytes) -> None:
    request = with_field(parse("chat", CHAT % theirs), "cache_salt", b'"abc"')
    pairs = json.loads(request.body, object_pairs_hook=list)
    assert [value for name, value in pairs if name == "cache_salt"] == ["abc"]
    assert [name for name, _ in pairs] == ["model", "messages", "cache_salt"]
    assert (request.cache_salt, parse("chat", request.body).cache_salt) == ("abc", "abc")


@given(st.dictionaries(st.text(max_size=8), values, max_size=5), st.booleans())
def test_nothing_else_changes(more: dict[str, object], ascii_only: bool) -> None:
    table: dict[str, object] = {"model": "m", "messages": [{"role": "user", "content": "é}"}]}
    known = {"stream", "stream_options", *table}
    table |= {name: value for name, value in more.items() if name not in known}
    body = json.dumps(table, ensure_ascii=ascii_only).encode("utf-8", "replace")
    request = with_field(parse("chat", body), "cache_salt", b'"abc"')
    assert json.loads(request.body) == json.loads(body) | {"cache_salt": "abc"}
