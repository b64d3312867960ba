"""What clients say of whose turn a request is: read from headers and fields, hashed, and hostile."""

import json
from typing import Any

import pytest

from router.sessions.recognition.hints import (
    HASH_BYTES,
    MAX_ID_BYTES,
    MAX_METADATA_BYTES,
    NO_HINT,
    Hint,
    HintReader,
    with_header,
)
from tokenizer_cache.bodies.request import parse

READER = HintReader(b"secret")


def hint(headers: dict[str, str] | None = None, *, client: str = "a", model: str = "m", **fields: Any) -> Hint:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **fields}
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    return READER.read(client, model, pairs, parse("chat", json.dumps(body).encode()).fields)


def test_nothing_said_is_no_hint() -> None:
    assert hint() is NO_HINT
    assert hint({"user-agent": "x"}, user="u", safety_identifier="s", metadata={"user_id": "u7"}) is NO_HINT


def test_an_id_is_hashed_with_its_client_and_model() -> None:
    one = hint({"x-session-id": "s"})
    assert len(one.own) == HASH_BYTES
    assert one == hint({"x-session-id": "s"}) == Hint(one.own, one.own)
    others = [
        hint({"x-session-id": "s"}, client="b"),
        hint({"x-session-id": "s"}, model="n"),
        hint({"x-session-id": "t"}),
    ]
    assert len({one, *others}) == 4
    assert (
        HintReader(b"other").read(
            "a", "m", [(b"x-session-id", b"s")], parse("chat", b'{"model":"m","messages":[{}]}').fields
        )
        != one
    )


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"x-claude-code-session-id": "s"}, {"session-id": "o", "x-session-id": "o"}),
        ({"thread-id": "s"}, {"session-id": "o", "x-session-id": "o"}),
        ({"session-id": "s"}, {"session_id": "o"}),
        ({"session_id": "s"}, {"x-session-id": "o"}),
        ({"x-session-id": "s"}, {"x-session-affinity": "o"}),
    ],
)
def test_of_several_session_ids_the_surer_one_counts(first: dict[str, str], then: dict[str, str]) -> None:
    assert hint({**then, **first}).own == hint(first).own == hint({"x-session-id": "s"}).own


def test_claude_codes_metadata_is_its_session_in_either_form() -> None:
    header = hint({"x-claude-code-session-id": "ab-1"})
    assert hint(metadata={"user_id": json.dumps({"session_id": "ab-1"})}) == header
    assert hint(metadata={"user_id": "user_x_account__session_ab-1"}) == header
    agent = hint({"x-claude-code-agent-id": "g"}, metadata={"user_id": "user_x_account__session_ab-1"})
    assert agent.family == header.own != agent.own


def test_a_key_of_a_cache_names_a_family_alone() -> None:
    key = hint(prompt_cache_key="k")
    assert (key.own, bool(key.family)) == (b"", True)
    assert hint(session_id="k") == hint(metadata={"session_id": "k"}) == key


def test_a_session_may_say_that_it_ends() -> None:
    assert hint({"x-dynamo-session-id": "s", "x-dynamo-session-final": "true"}).ends
    assert not hint({"x-dynamo-session-id": "s", "x-dynamo-session-final": "False"}).ends


def test_the_operators_own_header_comes_first_of_its_kind() -> None:
    assert with_header([(b"a", b"b")], b"") == [(b"a", b"b")]
    said = with_header([(b"x-session-id", b"o"), (b"x-team-session", b"s")], b"s")
    fields = parse("chat", b'{"model":"m","messages":[{}]}').fields
    assert READER.read("a", "m", said, fields) == hint({"x-session-id": "s"})


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": "text"},
        {"metadata": [1]},
        {"metadata": {"user_id": 7, "session_id": "s"}},
        {"metadata": {"user_id": "{" * 3000}},
        {"metadata": {"user_id": '{"session_id": 7}'}},
        {"metadata": {"user_id": json.dumps({"session_id": "s" * (MAX_ID_BYTES + 1)})}},
        {"metadata": {"session_id": "s", "x": "y" * MAX_METADATA_BYTES}},
        {"prompt_cache_key": 7},
        {"prompt_cache_key": "k" * (MAX_ID_BYTES + 1)},
        {"prompt_cache_key": "é" * (MAX_ID_BYTES // 2 + 1)},
        {"session_id": {"a": 1}},
        {"session_id": None},
    ],
)
def test_what_is_no_id_is_dropped(fields: dict[str, Any]) -> None:
    dropped = fields != {"session_id": None}
    assert hint(**fields) == Hint(dropped=dropped)


def test_a_header_that_is_too_long_is_dropped() -> None:
    assert hint({"x-session-id": "s" * (MAX_ID_BYTES + 1)}) == Hint(dropped=True)
    kept = hint({"thread-id": "s" * (MAX_ID_BYTES + 1), "session-id": "s"})
    assert (kept.own, kept.dropped) == (hint({"session-id": "s"}).own, True)
    assert hint({"x-session-id": ""}) == Hint()
    assert hint({"x-session-id": "\xff\x80"}).own
