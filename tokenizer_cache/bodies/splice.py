"""Adds one field to a client's body and keeps every other byte.

A field that the client sent too is replaced, in any spelling of its name and every time it occurs: otherwise the engine
would choose which of two equal names counts. A body that is no JSON object is refused or stays none: it never becomes
one.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from tokenizer_cache.prompt import BadRequest

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ESCAPED_ASCII: Final = b"\\u00"
_START: Final = re.compile(rb"[ \t\r\n]*\{[ \t\r\n]*+(?P<end>\})?")
_END: Final = re.compile(rb"\}[ \t\r\n]*")


def with_field(body: bytes, name: str, value_of: Callable[[bytes], bytes]) -> bytes:
    """`body` with the top-level field `name`. `value_of` gets the client's own value and gives the new one, both as
    JSON; b"" where the client sent none. Raises BadRequest for what is plainly no object. One search and one copy; a
    pass over the body more where the name may be there."""
    start, end = _START.match(body), body.rfind(b"}")
    if start is None or _END.fullmatch(body, max(end, 0)) is None:
        raise BadRequest("The request body is not a JSON object.")
    if name.encode() in body or _ESCAPED_ASCII in body:
        try:
            table = _OBJECT.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise BadRequest("We could not parse the JSON body of your request.") from None
        if name in table:
            table[name] = msgspec.Raw(value_of(bytes(table[name])))
            return msgspec.json.encode(table)
    comma = b"" if start["end"] else b","
    return b'%s%s"%s":%s%s' % (body[:end], comma, name.encode(), value_of(b""), body[end:])
