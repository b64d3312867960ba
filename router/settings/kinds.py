"""Kinds of values: how a text or a TOML value becomes a setting, and what is refused.

A reader raises ValueError with a sentence that completes "<setting> ...": what the value must be. It quotes the value,
except where the value is a secret. A secret never shows in `repr`, in logs or in an error.
"""

import json
import math
import random
import re
from collections.abc import Callable
from pathlib import Path

import policies
from policies import own
from router.dial.quoting import quoted
from router.settings.elsewhere import policy_hint
from router.settings.setting import Kind, Secret

SWITCH_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
SIZE_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")


def whole(low: int, high: int, metavar: str = "N") -> Kind:
    """A whole number, both ends included."""

    def read(given: object) -> int:
        if isinstance(given, str) and re.fullmatch(r"[+-]?[0-9]{1,30}", given):
            given = int(given)
        if isinstance(given, bool) or not isinstance(given, int) or not low <= given <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, not {quoted(given)}")
        return given

    return Kind(read, f"{low} to {high}", metavar)


def number(low: float, high: float, metavar: str) -> Kind:
    """A finite number, both ends included."""

    def read(given: object) -> float:
        value = _as_float(given)
        if not low <= value <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}, not {quoted(given)}")
        return value

    return Kind(read, f"{low:g} to {high:g}", metavar, show=lambda value: f"{value:g}")


def _as_float(given: object) -> float:
    """NaN, which no range contains, for everything that is not a number."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return math.nan
    try:
        return float(given)
    except (ValueError, OverflowError):
        return math.nan


def size(low: int, high: int) -> Kind:
    """A number of bytes, with or without a unit."""

    def read(given: object) -> int:
        count = _as_bytes(given)
        if count is None or not low <= count <= high:
            raise ValueError(
                f"must be a size from {in_units(low)} to {in_units(high)}, such as 64MiB, not {quoted(given)}"
            )
        return count

    return Kind(read, f"{in_units(low)} to {in_units(high)}", "BYTES", show=in_units)


def _as_bytes(given: object) -> int | None:
    if isinstance(given, str) and (parts := re.fullmatch(r"([0-9]{1,18})(KiB|MiB|GiB)?", given)):
        return int(parts[1]) * SIZE_UNITS.get(parts[2], 1)
    return given if isinstance(given, int) and not isinstance(given, bool) else None


def in_units(count: object) -> str:
    """The shortest exact way to write a number of bytes."""
    assert isinstance(count, int)
    for unit, factor in reversed(SIZE_UNITS.items()):
        if count and count % factor == 0:
            return f"{count // factor}{unit}"
    return str(count)


def switch() -> Kind:
    """Yes or no."""

    def read(given: object) -> bool:
        value = SWITCH_WORDS.get(given.lower()) if isinstance(given, str) else given
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {quoted(given)}")
        return value

    return Kind(read, "true, false", show=lambda value: str(value).lower())


def choice(*words: str, metavar: str) -> Kind:
    """One of a closed set of words."""

    def read(given: object) -> str:
        if not isinstance(given, str) or given not in words:
            raise ValueError(f"must be one of {', '.join(words)}; not {quoted(given)}")
        return given

    return Kind(read, ", ".join(words), metavar)


def policy() -> Kind:
    """A built-in policy's name, or a file and a class, which is loaded to check whether it can be used."""
    names = ", ".join(sorted(policies.POLICIES))

    def read(given: object) -> str:
        if not isinstance(given, str) or not (given in policies.POLICIES or own.is_own(given)):
            raise ValueError(f"must be one of {names}, or FILE.py:CLASS; not {quoted(given)}{policy_hint(given)}")
        if own.is_own(given):
            _usable(given)
        return given

    return Kind(read, f"{names}, or FILE.py:CLASS", "NAME")


def _usable(name: str) -> None:
    try:
        policies.build(name, random.Random(0))
    except ValueError as error:
        raise ValueError(f"cannot be used: {error}") from error


def name(metavar: str, allowed: str) -> Kind:
    """A word without white space."""
    return Kind(word, allowed, metavar)


def word(given: object) -> str:
    """A text without white space. ValueError says so."""
    if not isinstance(given, str) or not given or UNPRINTABLE.search(given):
        raise ValueError(f"must be a text without white space, not {quoted(given)}")
    return given


def header_name() -> Kind:
    """An HTTP header's name, in lower case as the router compares it."""

    def read(given: object) -> str:
        if not isinstance(given, str) or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", given):
            raise ValueError(f"must be the name of an HTTP header, not {quoted(given)}")
        return given.lower()

    return Kind(read, "a header's name", "NAME")


def file() -> Kind:
    """A file that exists."""

    def read(given: object) -> str:
        if not isinstance(given, str) or not _there(given, Path.is_file):
            raise ValueError(f"must be a file that exists, not {quoted(given)}")
        return given

    return Kind(read, "a file", "FILE")


def _there(path: str, test: Callable[[Path], bool]) -> bool:
    """False also for what cannot be a path: too long, or with a NUL."""
    try:
        return test(Path(path))
    except (OSError, ValueError):
        return False


def key_prefix() -> Kind:
    """A word that Redis Cluster can hash, and that needs no escape in a rule of rights."""

    def read(given: object) -> str:
        if not isinstance(given, str) or not re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", given):
            raise ValueError(f"must be 1 to 64 letters, digits or characters of ._:- and not {quoted(given)}")
        return given

    return Kind(read, "letters, digits, ._:-", "PREFIX")


def tokenizer() -> Kind:
    """Where a tokenizer comes from. A value that can only be a path must exist."""

    def read(given: object) -> str:
        source = word(given)
        if source == "package:":
            raise ValueError("must name the package: package:NAME")
        if source.startswith(("/", "./", "../")) and not _there(source, Path.exists):
            raise ValueError(f"must be a path that exists, not {quoted(given)}")
        return source

    return Kind(read, "auto, off, a path, a model id, package:NAME", "TOKENIZER")


def json_object() -> Kind:
    """A JSON object, kept as text."""

    def read(given: object) -> str:
        text = json.dumps(given) if isinstance(given, dict) else given
        try:
            found = json.loads(text) if isinstance(text, str) else None
        except ValueError:
            found = None
        if not isinstance(text, str) or not isinstance(found, dict):
            raise ValueError(f"must be a JSON object, not {quoted(given)}")
        return text

    return Kind(read, "a JSON object", "JSON")


def secret() -> Kind:
    """A key of visible ASCII characters, as a header can carry it."""

    def read(given: object) -> Secret:
        if not isinstance(given, str) or not re.fullmatch(r"[\x21-\x7e]+", given):
            raise ValueError("must be a key of visible ASCII characters, without spaces")
        return Secret(given)

    return Kind(read, "a secret", "KEY", secret=True)


def pair(value: Kind, metavar: str) -> Kind:
    """NAME=VALUE; the name may hold anything but `=`."""

    def read(given: object) -> tuple[str, object]:
        if isinstance(given, str):
            given = tuple(given.split("=", 1))
        if not isinstance(given, tuple) or len(given) != 2 or not given[0]:
            raise ValueError(f"must be {metavar}")
        return given[0], value.read(given[1])

    return Kind(read, f"{metavar} pairs", metavar, many=True, mapping=True)


def many(kind: Kind) -> Kind:
    """Any number of different values of `kind`."""
    return Kind(kind.read, f"any number of: {kind.allowed}", kind.metavar, secret=kind.secret, many=True)
