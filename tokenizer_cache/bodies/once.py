"""Bodies that every JSON reader reads alike: each field once, its name without escapes.

Most readers take the last of two equal names, some take the first: the engine would choose which one counts.
"""

import re
from typing import Final

import msgspec

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NAME: Final = re.compile(rb'[ \t\r\n]*[{,][ \t\r\n]*"([^"\\]*)"[ \t\r\n]*:[ \t\r\n]*')
_END: Final = re.compile(rb"[ \t\r\n]*[{]?[ \t\r\n]*\}[ \t\r\n]*")


def fields_once(body: bytes) -> dict[str, msgspec.Raw] | None:
    """The top-level fields of a JSON object. None if `body` is no object, or holds a name twice or with an escape.
    Costs one pass over the body, and a comparison with what a decoder finds."""
    try:
        table = _OBJECT.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    at = 0
    for name, value in table.items():
        found, raw = _NAME.match(body, at), bytes(value)
        if found is None or found[1] != name.encode() or not body.startswith(raw, found.end()):
            return None
        at = found.end() + len(raw)
    return table if _END.fullmatch(body, at) else None
