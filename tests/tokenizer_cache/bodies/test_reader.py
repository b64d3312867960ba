"""A body that is recognised by its first bytes gives exactly what a full reading gives, or the same error."""

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenizer_cache.bodies.items import NotRead
from tokenizer_cache.bodies.prefixes import STEP_BYTES
from tokenizer_cache.bodies.reader import LONG_BYTES, Reader
from tokenizer_cache.bodies.request import Request, parse
from tokenizer_cache.conversations.keyed import KeyedHash
from tokenizer_cache.prompt import BadRequest

KEYED = KeyedHash(b"reader")
LONG = {"role": "system", "content": "You are an agent. " * (STEP_BYTES // 15)}
USER = {"role": "user", "content": 'hé 🙂 " \\ \n'}
MARK = {"cache_control": {"type": "ephemeral"}}


def facts(request: Request) -> Any:
    """All that anybody can learn from a request."""
    fields = request.fields
    raw = {name: getattr(fields, name) for name in fields.__struct_fields__ if name not in ("messages", "input")}
    seen = {name: bytes(value) if hasattr(value, "copy") else value for name, value in raw.items()}
    conversation = request.conversation
    digests = [conversation.digest(place) for place in range(len(conversation), -1, -1)]
    last = list(map(bytes, conversation.since(len(conversation) - 1)))
    return seen, digests, last, list(map(bytes, request.items)), request.teachable, request.body, request.digest


def outcome(read: Any, api: str, body: bytes) -> Any:
    try:
        return facts(read(api, body))
    except BadRequest as error:
        return error.message, error.param


def same(reader: Reader, body: bytes, api: str = "chat") -> str:
    """Read both ways, compare, and say how the reader did it."""
    before = reader.read.copy()
    assert outcome(reader.parse, api, body) == outcome(lambda api, body: parse(api, body, KEYED), api, body)
    return next(iter(reader.read - before), "refused")


def body_of(messages: list[Any], **fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": messages, **fields}, ensure_ascii=False).encode()


def test_only_what_is_new_is_read() -> None:
    reader = Reader(1 << 20, KEYED)
    assert same(reader, body_of([LONG, USER], stream=True)) == "whole"
    assert same(reader, body_of([LONG, USER], stream=True)) == "items"
    assert same(reader, body_of([LONG, USER, USER, USER], stream=True)) == "items"
    assert same(reader, body_of([LONG, USER, USER, USER, LONG], stream=False)) == "rest"
    assert same(reader, body_of([LONG, USER, USER, USER, LONG, USER], stream=False)) == "items"
    assert same(reader, body_of([LONG, USER, USER, {"role": "user"}], stream=True)) == "items", "a fork"
    assert same(reader, body_of([LONG, {"role": "user"}], stream=True)) == "whole"


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n ", " : ")])
@pytest.mark.parametrize("first", [True, False])
def test_messages_may_come_first_or_last_and_be_written_in_any_way(first: bool, separators: tuple[str, str]) -> None:
    reader = Reader(1 << 20, KEYED)
    ways = []
    for count in range(1, 5):
        messages = {"messages": [LONG, *[USER] * count]}
        rest = {"model": "m", "tools": [{"type": "function", "messages": [1]}]}
        body = json.dumps(messages | rest if first else rest | messages, separators=separators, indent=2).encode()
        ways.append(same(reader, body))
    assert ways == ["whole", "items", "items", "items"]


def test_other_apis_are_read_so_too_and_apart() -> None:
    reader = Reader(1 << 20, KEYED)
    for api in ("chat", "messages", "responses", "completions"):
        body = json.dumps({"model": "m", "messages": [LONG], "input": [LONG, 1], "prompt": LONG["content"]}).encode()
        assert same(reader, body, api) == "whole"
        assert same(reader, body, api) == ("items" if api != "completions" else "whole")
    text = json.dumps({"model": "m", "input": LONG["content"]}).encode()
    assert {same(reader, text, "responses") for _ in range(3)} == {"whole"}


def test_moving_cache_marks_leave_the_items_before_them_known() -> None:
    reader, ways = Reader(1 << 20, KEYED), []
    messages: list[dict[str, Any]] = [LONG]
    for turn in range(8):
        messages.append({"role": "user", "content": [{"type": "text", "text": f"turn {turn}"}]})
        shown = [dict(message) for message in messages]
        for place in range(max(1, len(shown) - 3), len(shown), 2):
            shown[place] = {"role": "user", "content": [shown[place]["content"][0] | MARK]}
        ways.append(same(reader, body_of(shown, system=f"x-anthropic-billing-header: {turn}"), "messages"))
        messages.append({"role": "assistant", "content": "done"})
    assert ways == ["whole"] + ["rest"] * 7


GROUND = json.dumps([LONG, USER, 12, "text", None, [1, [2]]]).encode()[1:-1]


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[%b],"messages":[%b,1]}',
        b'{"model":"m","messages":[%b,1],"messages":[]}',
        b'{"messages":[%b],"model":"m","model":"n"}',
        b'{"messages":[%b],"model":"m","m\\u0065ssages":[7]}',
        b'{"m\\u0065ssages":[%b],"model":"m"}',
        b'{"other":{"messages":[%b]},"model":"m","messages":[%b]}',
        b'{"x":"[","messages":[%b],"model":"m"}',
        b'{"messages":[%b3],"model":"m"}',
        b'{"messages":[%b,],"model":"m"}',
        b'{"messages":[%b ,2 ] ,"model":"m"}',
        b'{"messages":[%b,2],"model":"m"',
        b'{"messages":[%b,2],"model":"m"}}',
        b'{"messages":[%b,2],"model":7}',
        b'{"messages":[%b,2],"model":""}',
        b'{"messages":[%b,2]}',
        b'{"messages":[%b,"\xff"],"model":"m"}',
        b'{"messages":[%b,"\\ud800"],"model":"m"}',
        b'{"messages":[%b],"messages":"none","model":"m"}',
        b'{"messages":[%b,1],"x":[1],"model":"m"}',
        b'[{"messages":[%b],"model":"m"}]',
    ],
)
def test_odd_bodies_are_read_as_in_full_whatever_was_known(body: bytes) -> None:
    reader = Reader(1 << 20, KEYED)
    filled = body.replace(b"%b", GROUND)
    for plain in (
        b'{"messages":[%b],"model":"m"}',
        b'{"model":"m","messages":[%b]}',
        b'{"messages":[%b,1],"model":"m"}',
    ):
        for other in (plain.replace(b"%b", GROUND), filled, filled, plain.replace(b"%b", GROUND + b",3")):
            same(reader, other)


def test_a_number_that_goes_on_is_another_number() -> None:
    reader = Reader(1 << 20, KEYED)
    assert same(reader, body_of([LONG, 12])) == "whole"
    assert same(reader, body_of([LONG, 1234])) == "whole"
    assert same(reader, body_of([LONG, 12, 34])) == "items"


FIELDS = st.sampled_from(
    [
        *(
            b'"model":"m"',
            b'"model": "n"',
            b'"stream":true',
            b'"user":null',
            b'"tools":[{"messages":[1]}]',
            b'"x":"],"',
        ),
        *(b'"messages":[5]', b'"model":3', b'"temperature":1e3', b'"max_tokens":5 ', b'"seed":NaN', b'"y":{"a":['),
    ]
)
ITEMS = st.sampled_from(
    [b'{"role":"user","content":"a"}', b"1", b"12", b'"],"', b'{"a":[{}]}', b"null", b"", b"[", b'"']
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_random_bodies_and_edits_are_read_as_in_full(data: st.DataObject) -> None:
    reader = Reader(1 << 18, KEYED)
    long = json.dumps(LONG).encode()
    body = b""
    for _ in range(data.draw(st.integers(2, 6))):
        how = data.draw(st.sampled_from(["new", "grow", "grow", "edit", "edit", "again"]))
        if how == "edit" and body:
            at = data.draw(st.integers(max(0, len(body) - 120), len(body)))
            cut = data.draw(st.integers(0, 9))
            body = (
                body[:at]
                + data.draw(st.sampled_from([b"", b"]", b",", b'"', b"}", b"1", b" ", b"\xc3"]))
                + body[at + cut :]
            )
        elif how == "grow" and b"]" in body:
            at = body.rindex(b"]")
            body = body[:at] + b"," + data.draw(ITEMS) + body[at:]
        elif how == "new" or not body:
            items = b" ,".join([long, *data.draw(st.lists(ITEMS, max_size=3))])
            fields = [b'"messages":[' + items + b"]", *data.draw(st.lists(FIELDS, max_size=3))]
            random.Random(data.draw(st.integers(0, 99))).shuffle(fields)
            body = b"{" + b",".join(fields) + b"}"
        same(reader, body)


def test_known_bodies_stay_within_the_bytes_that_are_allowed() -> None:
    reader = Reader(1 << 16, KEYED)
    for number in range(200):
        for turn in range(3):
            reader.parse("chat", body_of([{"n": number}, LONG, *[USER] * turn], tools=["x" * 400], seed=number))
    assert reader.size_bytes < 1 << 16


def test_an_event_loop_reads_no_more_than_a_short_part() -> None:
    reader = Reader(1 << 20, KEYED)
    long = [{"role": "user", "content": "word " * 40_000}]
    body, grown = body_of(long), body_of([*long, USER])
    assert reader.parse_short("chat", body) is None
    reader.parse("chat", body)
    request = reader.parse_short("chat", grown)
    assert request is not None
    assert list(map(bytes, request.conversation.read)) == [json.dumps(USER, ensure_ascii=False).encode()]
    with pytest.raises(NotRead):
        request.items  # noqa: B018
    request.conversation.hasty = False
    assert len(request.items) == 2
    assert reader.parse_short("chat", body_of([*long, *long])) is None, "as much again is new"
    assert reader.parse_short("chat", body_of([*long, USER], tools=["x" * LONG_BYTES])) is None, "other fields are new"


@pytest.mark.parametrize("item", [0, None, "", {}, [], {"role": "user", "content": ""}])
def test_a_crowd_is_refused_before_it_is_decoded(item: Any) -> None:
    reader, body = Reader(1 << 20, KEYED), body_of([item] * 200_000)
    assert reader.parse_short("chat", body) is None
    with pytest.raises(BadRequest, match="Too many messages: at most 8192"):
        reader.parse("chat", body)
    assert not reader.read, "nothing was decoded"
