"""Takes the chunk with the usage out of a stream whose client did not ask for it, and leaves every other byte.

It is one event: no choices, and a usage. Events come whole nearly always; of one that is cut, the part that has come
waits for its end. Danger: without `choices` empty, an event that a client expects could be taken.
"""

import re

import msgspec

MAX_EVENT_BYTES = 4096
"""A usage is shorter; what is longer is passed on as it comes."""
_EVENT = re.compile(rb"data: ?(\{.*\})\r?\n\r?\n", re.DOTALL)
_END = re.compile(rb"\r?\n\r?\n")


class _Chunk(msgspec.Struct):
    choices: list[msgspec.Raw]
    usage: dict[str, msgspec.Raw]


_chunk = msgspec.json.Decoder(_Chunk)


class UsageOut:
    """One stream's."""

    def __init__(self) -> None:
        self._held = b""
        self._done = False

    def take(self, chunk: bytes) -> bytes:
        """What the client gets of the next bytes."""
        if self._done or (not self._held and b'"usage"' not in chunk and chunk.endswith(b"\n\n")):
            return chunk
        data = self._held + chunk
        self._held = b""
        start, kept = 0, []
        for end in _END.finditer(data):
            event = data[start : end.end()]
            start = end.end()
            if not self._done and _is_usage(event):
                self._done = True
            else:
                kept.append(event)
        rest = data[start:]
        if not self._done:
            passed = len(rest) - _half_end(rest) if len(rest) > MAX_EVENT_BYTES else 0
            rest, self._held = rest[:passed], rest[passed:]
        kept.append(rest)
        return b"".join(kept)

    def end(self) -> bytes:
        """What is left at the stream's end."""
        held, self._held = self._held, b""
        return held


def _half_end(text: bytes) -> int:
    """Bytes that may be a part of an event's end. They are none of the next event's beginning."""
    tail = text[-3:]
    return len(tail) - len(tail.rstrip(b"\r\n"))


def _is_usage(event: bytes) -> bool:
    found = _EVENT.fullmatch(event) if b'"usage"' in event and len(event) <= MAX_EVENT_BYTES else None
    if found is None:
        return False
    try:
        return not _chunk.decode(found[1]).choices
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
