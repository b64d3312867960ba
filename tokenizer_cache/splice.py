"""A request with one field more than the client sent: every other byte of its body stays as it came.

The body was parsed before, so it is one JSON object. A field that the client sent too, under whatever spelling of its
name and however often, is replaced: which of two equal names counts would be the engine's choice.
"""

from typing import Final

import msgspec

from tokenizer_cache.fields import ABSENT, Raw
from tokenizer_cache.request import Frame, Request

_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])


def with_field(request: Request, name: str, value: bytes) -> Request:
    """`request` with the top-level field `name` (a field of its API that identity looks at) set to the JSON `value`.
    A copy of the body's bytes; where the client sent the field, one more pass over it."""
    if getattr(request.fields, name) is ABSENT:
        end = request.body.rindex(b"}")
        body = b'%s,"%s":%s%s' % (request.body[:end], name.encode(), value, request.body[end:])
    else:
        table = _OBJECT.decode(request.body)
        table[name] = Raw(value)
        body = msgspec.json.encode(table)
    fields = msgspec.structs.replace(request.fields, **{name: Raw(value)})
    return Request(request.api, body, Frame(fields, request.prompts), request.conversation, request.prompts)
