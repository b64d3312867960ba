"""Takes the chunk with the usage out of a stream whose client did not ask for it, and leaves every other byte.

It is one event: no choices, and a usage. Events come whole nearly always; of one that is cut, the part that has come
waits for its end. Danger: without `choices` empty, an event that a client expects could be taken.
"""

import re

import msgspec

MAX_EVENT_BYTES = 4096
"""A usage is shorter; what is longer is passed on as it comes."""
MAX_TRIED = 16
"""Events of one piece that are looked at. Danger: with all, 64 KB of empty events stop the event loop for 10 ms."""
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
        data, self._held = self._held + chunk, b""
        found = _find(data)
        if found is not None:
            self._done = True
            return data[: found[0]] + data[found[1] :]
        end = _last_end(data, 0, len(data))
        rest = len(data) - end
        passed = end + rest - _half_end(data[end:]) if rest > MAX_EVENT_BYTES else end
        self._held = data[passed:]
        return data[:passed]

    def end(self) -> bytes:
        """What is left at the stream's end."""
        held, self._held = self._held, b""
        return held


def _find(data: bytes) -> tuple[int, int] | None:
    """Where the chunk with the usage begins and ends; None while it is not there as a whole."""
    after = 0
    for _ in range(MAX_TRIED):
        at = data.find(b'"usage"', after)
        end = _END.search(data, at) if at >= 0 else None
        if end is None:
            return None
        begin, after = _last_end(data, max(after, at - MAX_EVENT_BYTES), at), end.end()
        if _is_usage(data[begin:after]):
            return begin, after
    return None


def _last_end(data: bytes, low: int, high: int) -> int:
    """Behind the last event's end between these places; `low` where there is none."""
    plain, returns = data.rfind(b"\n\n", low, high), data.rfind(b"\n\r\n", low, high)
    return max(plain + 2 if plain >= 0 else low, returns + 3 if returns >= 0 else low)


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
