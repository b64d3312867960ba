"""A body with one field more than the client sent: every other byte stays as it came.

A field that the client sent too, under whatever spelling of its name and however often, is replaced: which of two equal
names counts would be the engine's choice. A body that is no JSON object stays none: whoever reads it next refuses it.
"""

from collections.abc import Callable
from typing import Final

import msgspec

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ESCAPED_ASCII: Final = b"\\u00"


def with_field(body: bytes, name: str, value_of: Callable[[bytes], bytes]) -> bytes:
    """`body` with the top-level field `name`. `value_of` gets the client's own value and gives the new one, both as
    JSON; b"" where the client sent none. One search and one copy; a pass over the body more where the name may be
    there."""
    if name.encode() in body or _ESCAPED_ASCII in body:
        try:
            table = _OBJECT.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return body
        if name in table:
            table[name] = msgspec.Raw(value_of(bytes(table[name])))
            return msgspec.json.encode(table)
    end = body.rfind(b"}")
    if end < 0:
        return body
    return b'%s,"%s":%s%s' % (body[:end], name.encode(), value_of(b""), body[end:])
