"""How many values a JSON text holds, told without making them.

A decoder makes all values of a text in one call, and no other thread runs meanwhile: 300,000 of them would stop the
event loop for 50 ms, from whichever thread. So long texts are gone through here first, mark by mark, in a thread;
whoever waits for the interpreter's lock gets it between two marks. Most texts are let through by three plain counts.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from tokenizer_cache.prompt import BadRequest
from tokenizer_cache.rules import NotExact

MAX_ITEMS: Final = 8192
"""Messages or input items of one request. Real sessions have some hundreds."""
MAX_FIELDS: Final = 4096
"""Fields of one body, equal names counted each time."""
MAX_BODY_VALUES: Final = 1 << 17
"""Values of one body, without lists of numbers. Real sessions have 10,000 per MB."""
MAX_VALUES: Final = 1 << 15
"""Values decoded in one call: one message, one field, the arguments of one tool call. 3 to 10 ms."""
_OPEN, _COMMA, _QUOTE, _BACKSLASH = b'[,"\\'
_MARK: Final = re.compile(rb'["\[\]{},]')
_NUMBERS: Final = re.compile(rb"[-+.0-9eE, \t\r\n]{64,16384}")
_LISTS: Final = (b'"messages"', b'"input"')
_STRING: Final = msgspec.json.Decoder(str)
_LONGEST_NAME: Final = 64


def check_crowds(body: bytes) -> None:
    """Raises BadRequest for a body with too many items, fields or values. In a thread: up to 0.1 s."""
    if not may_crowd(body):
        return
    depth = fields = items = values = 0
    counted = False
    for mark, count, before in _marks(body):
        values += count == 1
        if mark in b"[{":
            depth += 1
            if depth == 2:
                counted, items = mark == _OPEN and _name(before) in _LISTS, 0
        elif mark in b"]}":
            depth -= 1
        elif depth == 1:
            fields += count
        elif depth == 2 and counted:
            items += count
        if fields >= MAX_FIELDS or values > 2 * MAX_BODY_VALUES:
            raise BadRequest(f"Too many values: at most {MAX_FIELDS} fields and {MAX_BODY_VALUES} values are accepted.")
        if items >= MAX_ITEMS:
            raise too_many_items()


def may_crowd(body: bytes) -> bool:
    """False where `check_crowds` lets it through without a look. Three plain counts."""
    return len(body) > MAX_FIELDS and _most(body) > MAX_FIELDS


def too_many_items() -> BadRequest:
    """The error for a longer conversation."""
    return BadRequest(f"Too many messages: at most {MAX_ITEMS} are accepted.", "messages")


def refuse_dense(raw: bytes | str) -> None:
    """Raises NotExact for a JSON text of more than MAX_VALUES values: the prompt is then compared as text."""
    if len(raw) <= MAX_VALUES:
        return
    text = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    if _most(text) <= MAX_VALUES:
        return
    values = 0
    for _, count, _ in _marks(text):
        values += count
        if values > 2 * MAX_VALUES:
            raise NotExact("dense")


def _most(text: bytes) -> int:
    """No fewer values than it has: what stands in strings is counted too."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _name(string: bytes) -> bytes:
    """A field's name as it is written without escapes."""
    if b"\\" not in string:
        return string
    try:
        return msgspec.json.encode(_STRING.decode(string))
    except msgspec.MsgspecError:
        return string


def _marks(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Each of `[ ] { } ,` outside strings, 1, and the string before it; of a run of numbers their commas at once."""
    at, before = 0, b""
    while (found := _MARK.search(raw, at)) is not None:
        start = found.start()
        mark = raw[start]
        if mark == _QUOTE:
            at = _end_of_string(raw, start)
            before = raw[start:at] if at - start <= _LONGEST_NAME else b""
            continue
        yield mark, 1, before
        at = start + 1
        if (numbers := _NUMBERS.match(raw, at)) is not None:
            at = numbers.end()
            yield _COMMA, raw.count(b",", start + 1, at), before


def _end_of_string(raw: bytes, at: int) -> int:
    """After the string that begins at `at`; the end of the text where it does not end."""
    while (at := raw.find(b'"', at + 1)) >= 0:
        back = at - 1
        while raw[back] == _BACKSLASH:
            back -= 1
        if (at - back) % 2:
            return at + 1
    return len(raw)
