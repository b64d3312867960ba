"""Checks what the index's scripts answer: the code behind it never meets a value of another kind or size.

An answer that no script of ours gives counts as a miss: the server, or what runs on it, is not ours.
"""

import re
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from router.observe.instruments import Counter
from router.shared.link import Answer

MAX_HOLDERS = 20_000
Count = Annotated[int, Meta(ge=0, le=1 << 48)]
Number = Annotated[int, Meta(ge=0, le=1 << 53)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Epoch = Annotated[bytes, Meta(max_length=32)]


class Outcome(NamedTuple):
    """The answer of a script that writes."""

    number: int
    """The holder's number. A number that differs from the last one means that the holder was forgotten meanwhile."""
    refused: bool
    """True when there was no room for some of the blocks."""
    unfinished: bool
    """True when more must be evicted: call `set_capacity(holder, -1)`."""
    epoch: bytes
    """An epoch that differs from the last one means that all data was lost."""


class Match(NamedTuple):
    """How much of a chain each holder has."""

    epoch: bytes | None
    """None: there is no data."""
    holders: list[tuple[str, int, int, int]]
    """Name, blocks, blocks held or pending, number."""


_TIME = re.compile(rb"[0-9]{1,12} [0-9]{1,6}")
_outcome = tuple[Number, int, int, Epoch | None]
_match = msgspec.msgpack.Decoder(
    tuple[
        Annotated[str, Meta(max_length=32)],
        Annotated[list[tuple[Name, Count, Count, Number]], Meta(max_length=MAX_HOLDERS)],
    ]
)


class Answers:
    """Reads the answers of Redis, and counts those that are none."""

    def __init__(self, refused: Counter) -> None:
        self._refused = refused

    def match(self, answer: Answer) -> Match | None:
        """Read an answer of `match.lua`; None where it is none."""
        if isinstance(answer, bytes):
            try:
                epoch, holders = _match.decode(answer)
            except msgspec.DecodeError:
                pass
            else:
                return Match(epoch.encode() or None, holders)
        self._refuse()
        return None

    def outcome(self, answer: Answer) -> Outcome | None:
        """Read an answer of a script that writes; None where it is none."""
        try:
            number, refused, unfinished, epoch = msgspec.convert(answer, _outcome, builtin_types=(bytes,))
        except msgspec.ValidationError:
            self._refuse()
            return None
        return Outcome(number, bool(refused), bool(unfinished), epoch or b"")

    def time_s(self, answer: Answer) -> float | None:
        """Read an answer to TIME, as seconds since 1970; None where it is none."""
        if isinstance(answer, list) and len(answer) == 2:
            seconds, micros = answer
            if isinstance(seconds, bytes) and isinstance(micros, bytes) and _TIME.fullmatch(seconds + b" " + micros):
                return int(seconds) + int(micros) / 1e6
        self._refuse()
        return None

    def epoch(self, answer: Answer) -> tuple[bytes | None] | None:
        """Read an answer to `Verbs.epoch`; None where it is none."""
        if answer is None or (isinstance(answer, bytes) and len(answer) <= 32):
            return (answer,)
        self._refuse()
        return None

    def _refuse(self) -> None:
        self._refused.add(1, ("index",))
