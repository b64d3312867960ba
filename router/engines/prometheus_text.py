"""A fast reader of the Prometheus text format, for the few wanted metrics among an engine's hundreds.

It is fast because it skips lines of other metrics unread: no code here may parse every line. A broken line is skipped
and counted; the other lines are still read. Formats: text 0.0.4 and OpenMetrics 1.0.
"""

import re
from collections.abc import Iterable
from io import StringIO
from typing import NamedTuple

MAX_LINE_CHARS = 16 << 10
MAX_SAMPLES = 8192
"""Samples of one page: a dozen metrics of hundreds of ranks."""
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,?)\s*', re.ASCII)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", '"': '"', "\\": "\\"}


class Sample(NamedTuple):
    """One measured value. It may be NaN or infinite."""

    name: str
    """The name on the wire, with `_total`, `_sum`, ..."""
    labels: dict[str, str]
    value: float


class Exposition(NamedTuple):
    """The wanted metrics of a page, in the page's order."""

    samples: list[Sample]
    broken_lines: int
    """Lines that begin with a wanted name and could not be read."""


class _BrokenLineError(ValueError):
    pass


class Wanted:
    """The names to read, prepared once for many pages."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self._starts = tuple(sorted(self.names))

    def read(self, text: str) -> Exposition:
        """All samples of the wanted names in `text`. Never raises."""
        samples: list[Sample] = []
        broken_lines = 0
        starts = self._starts
        for line in StringIO(text):  # not split: millions of empty lines would be a list of millions
            if line.startswith(starts):
                try:
                    sample = _sample(line)
                    if len(samples) >= MAX_SAMPLES:
                        raise _BrokenLineError
                except ValueError:
                    broken_lines += 1
                    continue
                if sample.name in self.names:
                    samples.append(sample)
        return Exposition(samples, broken_lines)


def _sample(line: str) -> Sample:
    """`name{labels} value [timestamp] [# exemplar]`. Raises ValueError."""
    if len(line) > MAX_LINE_CHARS:
        raise _BrokenLineError
    name, brace, _ = line.partition("{")
    words = name.split()
    if brace and len(words) == 1:
        labels, end = _labels(line, len(name) + 1)
        return Sample(words[0], labels, _value(line[end:]))
    return Sample(words[0], {}, _value(line[len(words[0]) :]))


def _labels(line: str, start: int) -> tuple[dict[str, str], int]:
    """The labels from `start`, right after the opening brace, and the position right after the closing one."""
    labels: dict[str, str] = {}
    end = start
    while not line.startswith("}", end):
        match = _LABEL.match(line, end)
        if match is None:
            raise _BrokenLineError
        name, value, comma = match.groups()
        labels[name] = _ESCAPE.sub(_unescape, value) if "\\" in value else value
        end = match.end()
        if not comma and not line.startswith("}", end):
            raise _BrokenLineError
    return labels, end + 1


def _unescape(match: re.Match[str]) -> str:
    """An unknown escape stays as it is, backslash included."""
    return _ESCAPED.get(match[1], match[0])


def _value(rest: str) -> float:
    """The first word of what follows the labels; a timestamp and an exemplar may come after it."""
    words = rest.split(None, 1)
    if not words or "_" in words[0]:  # Python would read 1_000 as a number
        raise _BrokenLineError
    return float(words[0])
