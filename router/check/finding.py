"""What was found, and how it is printed."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from router.dial.quoting import one_line

Level = Literal["ok", "warning", "error"]


class Finding(msgspec.Struct, frozen=True):
    """One line."""

    level: Level
    subject: str
    """What was looked at: a worker's URL, `redis`, a model."""
    text: str
    advice: str = ""
    """What to do; empty where nothing has to be done."""


def lines(found: Iterable[Finding]) -> str:
    """For people: the advice stands behind the fault, on the same line. Nothing that a worker or Redis said breaks
    it."""
    return "".join(
        f"{one.level:8} {one_line(one.subject)}: {one_line(one.text)}{f' -> {one.advice}' if one.advice else ''}\n"
        for one in found
    )


def exit_code(found: Iterable[Finding]) -> int:
    """1 if anything does not work."""
    return int(any(one.level == "error" for one in found))
