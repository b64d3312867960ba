"""Counts the values of a JSON text without decoding them.

A decoder makes all values of a text in one call, and no other thread runs meanwhile: 300,000 values would stop the
event loop for 50 ms, from any thread. So this module checks long texts first, in a thread; other threads get the
interpreter's lock within 2 ms. Most texts pass by plain counts, and nearly all others by their bare structure; only the
rest is checked mark by mark.
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
"""Fields of one body; equal names count each time."""
MAX_BODY_VALUES: Final = 1 << 17
"""Values of one body, without lists of numbers. Real sessions have 10,000 per MB."""
MAX_VALUES: Final = 1 << 15
"""Values decoded in one call: one message, one field, the arguments of one tool call. 3 to 10 ms."""
_OPEN, _COMMA, _QUOTE, _BACKSLASH = b'[,"\\'
_MARK: Final = re.compile(rb'["\[\]{},]')
_NUMBERS: Final = re.compile(rb"[-+.0-9eE, \t\r\n]{64,16384}")
_LISTS: Final = (b'"messages"', b'"input"')
_BARE: Final = bytes(set(range(256)) - set(b"[]{},"))
"""All bytes that are not part of a JSON text's structure."""
_INNERMOST: Final = re.compile(rb"[\[{],{0,%d}[\]}]" % (MAX_FIELDS - 1))
"""A list or object that holds no other one and is not too long."""
_MAX_STRUCTURE: Final = 64 << 10
_MAX_DEPTH: Final = 32
_SLICE_BYTES: Final = 32 << 10
_STRING: Final = msgspec.json.Decoder(str)
_LONGEST_NAME: Final = 64


def check_crowds(body: bytes, max_items: int = MAX_ITEMS) -> None:
    """Raises BadRequest for a body with too many items, fields or values. Call it in a thread: it takes up to 0.1 s,
    but 3 us per KB for normal bodies."""
    if _is_loose(body):
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
        if items >= max_items:
            raise too_many_items()


def may_crowd(body: bytes) -> bool:
    """False if `check_crowds` would accept the body, as three plain counts show."""
    return len(body) > MAX_FIELDS and _is_more(body, MAX_FIELDS)


def too_many_items() -> BadRequest:
    """The error for a longer conversation."""
    return BadRequest(f"Too many messages: at most {MAX_ITEMS} are accepted.", "messages")


def refuse_dense(raw: bytes | str) -> None:
    """Raises NotExact for a JSON text of more than MAX_VALUES values: the prompt is then compared as text."""
    if len(raw) <= MAX_VALUES:
        return
    text = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    if not _is_more(text, MAX_VALUES):
        return
    values = 0
    for _, count, _ in _marks(text):
        values += count
        if values > 2 * MAX_VALUES:
            raise NotExact("dense")


def _is_more(text: bytes, values: int) -> bool:
    """May the text have more values than this? Marks in strings are counted too."""
    count = 0
    for mark in (b",", b"[", b"{"):
        count += text.count(mark)
        if count > values:
            return True
    return False


def _is_loose(text: bytes) -> bool:
    """True if it is clear that no list or object has more than MAX_FIELDS members. The innermost ones are removed again
    and again, until none is left."""
    bare, left = _structure(text), 1
    for _ in range(_MAX_DEPTH if len(bare) <= _MAX_STRUCTURE else 0):
        if not left:
            break
        bare, left = _INNERMOST.subn(b"", bare)
    return not bare


def _structure(text: bytes, slice_bytes: int = _SLICE_BYTES) -> bytes:
    """The marks `[ ] { } ,` outside strings."""
    found, start, in_string = [], 0, False
    while start <= len(text):
        end = text.find(b'"', start + slice_bytes)
        end = len(text) if end < 0 else end
        for part in text[start:end].split(b'"'):
            if not in_string:
                found.append(part)
                in_string = True
            elif not part.endswith(b"\\") or (len(part) - len(part.rstrip(b"\\"))) % 2 == 0:
                in_string = False  # the quote after this part is not escaped
        start = end + 1
    return b"".join(found).translate(None, _BARE)


def _name(string: bytes) -> bytes:
    """A field's name, with escapes resolved."""
    if b"\\" not in string:
        return string
    try:
        return msgspec.json.encode(_STRING.decode(string))
    except msgspec.MsgspecError:
        return string


def _marks(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Each mark `[ ] { } ,` outside strings, the count 1, and the string before it. The commas of a run of numbers come
    at once, with their count."""
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
    """The position after the string that begins at `at`; the end of the text if the string does not end."""
    while (at := raw.find(b'"', at + 1)) >= 0:
        back = at - 1
        while raw[back] == _BACKSLASH:
            back -= 1
        if (at - back) % 2:
            return at + 1
    return len(raw)
