"""The keys file: TOML, read and checked as a whole. An error names the place in the file and never a value.

salt = "..."                    # hex; `warmroute hash-key` makes it

[[key]]
label = "team-a"
hash = "..."                    # or several, while a key is being replaced
"""

import math
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from router.clients.key_hash import DIGEST_BYTES

MAX_FILE_BYTES = 16 << 20
DEFAULT_LABEL = "default"
"""The label of the keys that the settings name."""
ANONYMOUS = "anonymous"
"""The label of all requests, where there are no keys."""
RESERVED = frozenset({DEFAULT_LABEL, ANONYMOUS})

Hash = Annotated[str, Meta(pattern=f"^[0-9a-f]{{{2 * DIGEST_BYTES}}}$")]
PerMinute = Annotated[int, Meta(ge=1, le=10**12)]
_PLACE = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_KEY = re.compile(r"^key\[(?P<number>\d+)\]\.?")


class KeysFileError(ValueError):
    """A keys file that cannot be used. The text completes "the keys file ..."."""


class ClientSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[key]]` table."""

    label: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Names the client in metrics, in the log and in errors."""
    hash: Hash | Annotated[list[Hash], Meta(min_length=1, max_length=16)]
    """The key's hash, from `warmroute hash-key`; several while a key is being replaced."""
    requests_per_minute: PerMinute | None = None
    uncached_tokens_per_minute: PerMinute | None = None
    """Prompt tokens that no worker had cached."""
    max_concurrency: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Requests in flight; 0 means no limit."""
    cache_salt: Annotated[str, Meta(min_length=1, max_length=128)] = ""
    """Separates its prefixes from those of all clients with another text here."""
    models: Annotated[list[str], Meta(min_length=1)] | None = None
    """The models that it may use; None means all."""
    expires: Any = None
    """A TOML date (its first moment, UTC) or date-time: from then on the key is refused."""
    weight: Annotated[float, Meta(ge=0.01, le=100)] = 1.0
    """Its share of a saturated fleet, against the other clients'."""

    @property
    def digests(self) -> list[bytes]:
        """The hashes of its keys."""
        return [bytes.fromhex(text) for text in ([self.hash] if isinstance(self.hash, str) else self.hash)]

    @property
    def expires_at(self) -> float:
        """In seconds since 1970; infinite if it never expires."""
        moment = self.expires
        if isinstance(moment, datetime):
            return moment.timestamp()
        return datetime.combine(moment, time(), UTC).timestamp() if isinstance(moment, date) else math.inf


class KeysFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    salt: Annotated[str, Meta(pattern=r"^(?:[0-9a-f]{2}){16,64}$")]
    key: list[ClientSpec]

    @property
    def salt_bytes(self) -> bytes:
        return bytes.fromhex(self.salt)


def read_keys_file(path: Path) -> KeysFile:
    """Read and check. Raises KeysFileError; its text holds neither a hash nor a salt."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise KeysFileError("is too large")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise KeysFileError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise KeysFileError("is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at [^)]*\)", str(error))
        raise KeysFileError(f"is not TOML {place[0] if place else ''}".rstrip()) from None
    except RecursionError:
        raise KeysFileError("is nested too deep") from None
    try:
        found = msgspec.convert(table, KeysFile)
    except msgspec.ValidationError as error:
        raise KeysFileError(_explained(str(error), table)) from None
    for problem in _conflicts(found):
        raise KeysFileError(problem)
    return found


def _conflicts(found: KeysFile) -> Iterator[str]:
    labels: set[str] = set()
    digests: set[bytes] = set()
    for spec in found.key:
        if spec.label in RESERVED:
            yield f"key {spec.label}: the router uses this label itself"
        if spec.label in labels:
            yield f"key {spec.label}: the label is used twice; give one label several hashes instead"
        if not _is_moment(spec.expires):
            yield f"key {spec.label}: expires must be a date or a date-time with a zone, such as 2027-01-01T00:00:00Z"
        if len(set(spec.digests)) < len(spec.digests) or digests & set(spec.digests):
            yield f"key {spec.label}: the same hash is given twice"
        labels.add(spec.label)
        digests.update(spec.digests)


def _is_moment(given: object) -> bool:
    if isinstance(given, datetime):
        return given.tzinfo is not None
    return given is None or isinstance(given, date)


def _explained(message: str, table: dict[str, object]) -> str:
    """msgspec's message, with the place named as in the file: `key team-a: weight: Expected ...`."""
    place = _PLACE.search(message)
    if place is None:
        return message[:1].lower() + message[1:]
    path, complaint = place["path"], message[: place.start()]
    if key := _KEY.match(path):
        number = int(key["number"])
        path = f"key {_label(table, number) or number + 1}: {path[key.end() :]}".removesuffix(": ")
    if "matching regex" in complaint:
        complaint = "is not of the right form" if "hash" in path else complaint.replace("matching regex", "like")
    return f"{path}: {complaint}" if path else complaint


def _label(table: dict[str, object], number: int) -> str:
    keys = table.get("key")
    one = keys[number] if isinstance(keys, list) else None
    label = one.get("label") if isinstance(one, dict) else None
    return label if isinstance(label, str) and label.isprintable() and len(label) <= 64 else ""
