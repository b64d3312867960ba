"""A field more: every other byte stays, the field is there once, and what is broken stays broken."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenizer_cache.bodies.request import parse
from tokenizer_cache.bodies.splice import with_field
from tokenizer_cache.prompt import BadRequest

CHAT = b'{"model":"m","messages":[{"role":"user","content":"hi}"}]%s}'
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def salted(body: bytes) -> bytes:
    return with_field(body, "cache_salt", lambda own: b'"new"')


def test_bytes_before_it_stay() -> None:
    body = CHAT % b', "seed" : 1e3 ' + b" \n"
    assert salted(body) == body[: body.rindex(b"}")] + b',"cache_salt":"new"} \n'
    quoted = CHAT.replace(b"hi}", rb"cache_salt \u00e9") % b""
    assert salted(quoted) == quoted[:-1] + b',"cache_salt":"new"}'


@pytest.mark.parametrize(
    ("theirs", "own"),
    [
        (b',"cache_salt":"x"', b'"x"'),
        (b',"cache_salt": null', b"null"),
        (b',"cache_salt":{"a":[1]}', b'{"a":[1]}'),
        (b',"cache_salt":"x","cache_salt":"y"', b'"y"'),
        (rb',"cache_\u0073alt":"x"', b'"x"'),
        (rb',"\u0063ache_salt":"x","cache_salt":"y"', b'"y"'),
    ],
)
def test_the_clients_own_is_seen_and_replaced(theirs: bytes, own: bytes) -> None:
    seen: list[bytes] = []

    def value_of(given: bytes) -> bytes:
        seen.append(given)
        return b'"new"'

    body = with_field(CHAT % theirs, "cache_salt", value_of)
    pairs = json.loads(body, object_pairs_hook=list)
    assert [name for name, _ in pairs] == ["model", "messages", "cache_salt"]
    assert pairs[-1] == ["cache_salt", "new"] or pairs[-1] == ("cache_salt", "new")
    assert (seen, parse("chat", body).cache_salt) == ([own], "new")


@given(st.dictionaries(st.text(max_size=8), values, max_size=5), st.booleans())
def test_nothing_else_changes(more: dict[str, object], ascii_only: bool) -> None:
    table: dict[str, object] = {"model": "m", "messages": [{"role": "user", "content": "é}"}]}
    known = {"stream", "stream_options", *table}
    table |= {name: value for name, value in more.items() if name not in known}
    body = json.dumps(table, ensure_ascii=ascii_only).encode("utf-8", "replace")
    assert json.loads(salted(body)) == json.loads(body) | {"cache_salt": "new"}


@given(st.binary(max_size=30), st.integers(0, 60))
def test_what_is_broken_stays_broken(noise: bytes, cut: int) -> None:
    whole = CHAT % b',"cache_salt":"x"'
    for body in (noise, whole[:cut], whole[:cut] + noise, whole + noise.strip(), whole[:-1] + noise.strip() + b"}"):
        try:
            parse("chat", body)
        except BadRequest:
            with pytest.raises(BadRequest):
                parse("chat", salted(body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"}",
        b'"}"',
        b"[{}]",
        b"\xef\xbb\xbf" + CHAT % b"",
        (CHAT % b"").decode().encode("utf-16"),
        CHAT % b"" + b"\0",
        CHAT % b"" + b"x",
        CHAT % b',"cache_salt":"x"' + b"x}",
        CHAT % (b',"cache_salt":"x","a":' + b"[" * 9_000 + b"]" * 9_000),
        CHAT % rb',"\ud800":1,"cache_salt":"x"',
        CHAT % b',"cache_salt":"x","\xff":1',
        CHAT % b',"cache_salt":"x","a":NaN',
    ],
)
def test_what_is_no_object_is_refused_here(body: bytes) -> None:
    with pytest.raises(BadRequest):
        salted(body)


@pytest.mark.parametrize("body", [b"{}", b"{ }", b" {\n} \n"])
def test_an_empty_object_becomes_one_with_a_field(body: bytes) -> None:
    assert json.loads(salted(body)) == {"cache_salt": "new"}
