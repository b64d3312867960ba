"""The page as text: which benchmarks it has, what each needs, and the same text with other tables.

    <!-- benchmark: NAME -->          before a ```sh block: its commands, run as one script
    <!-- table: NAME 2 -->            the second table that they print, until
    <!-- end -->

What must not be broken: text outside a table's markers stays as it is, byte for byte.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MARKER = re.compile(r"<!-- (benchmark: (?P<name>[a-z0-9-]+)|table: (?P<of>[a-z0-9-]+) (?P<number>\d+)|end) -->")
_BLOCK = re.compile(r"\n```sh\n(.*?)\n```\n", re.DOTALL)
_VARIABLE = re.compile(r"\$\{?([A-Z][A-Z0-9_]*)")
_TABLE = re.compile(r"^\|.*(?:\n\|.*)+", re.MULTILINE)


class MarkerError(ValueError):
    """The page's markers contradict each other; the message says where."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One block of commands."""

    name: str
    script: str
    """For `sh`."""
    tables: frozenset[int] = frozenset()
    """Numbers of the tables that the page takes from its output, from 1."""

    @property
    def needs(self) -> Sequence[str]:
        """Environment variables without which it cannot run: data and tools that are not part of this repository."""
        return sorted(set(_VARIABLE.findall(self.script)))

    @property
    def seeds(self) -> str:
        """The seeds that its commands name."""
        return ", ".join(re.findall(r"--seeds? (\S+)", self.script))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a table stands in the page."""

    name: str
    number: int
    start: int
    end: int


def benchmarks(text: str) -> dict[str, Benchmark]:
    """All of a page, by name. Raises MarkerError."""
    numbers: dict[str, set[int]] = {}
    for place in _places(text):
        known = numbers.setdefault(place.name, set())
        if place.number in known:
            raise MarkerError(f"two tables {place.name} {place.number}")
        known.add(place.number)
    found: dict[str, Benchmark] = {}
    for match in _MARKER.finditer(text):
        name = match["name"]
        if name is None:
            continue
        block = _BLOCK.match(text, match.end())
        if block is None or name in found:
            raise MarkerError(f"benchmark {name}: {'is there twice' if block else 'no ```sh block follows'}")
        found[name] = Benchmark(name, block[1], frozenset(numbers.pop(name, set())))
    if numbers:
        raise MarkerError(f"tables of no benchmark: {', '.join(numbers)}")
    return found


def tables(output: str) -> list[str]:
    """The Markdown tables that a command printed, in order."""
    return _TABLE.findall(output)


def replaced(text: str, name: str, made: Sequence[str], stamp: str) -> str:
    """The page with this benchmark's tables in the place of those it has. Raises IndexError if one was not made."""
    for place in reversed(_places(text)):
        if place.name == name:
            new = f"\n{made[place.number - 1]}\n\n{stamp}\n"
            text = text[: place.start] + new + text[place.end :]
    return text


def _places(text: str) -> list[_Place]:
    places: list[_Place] = []
    begun: re.Match[str] | None = None
    for match in _MARKER.finditer(text):
        if (match[1] == "end") == (begun is None):
            raise MarkerError(f"{match[0]}: {'nothing has begun' if begun is None else 'the table before has no end'}")
        if begun is not None:
            places.append(_Place(begun["of"], int(begun["number"]), begun.end(), match.start()))
        begun = match if match["of"] else None
    if begun is not None:
        raise MarkerError(f"{begun[0]}: has no end")
    return places
