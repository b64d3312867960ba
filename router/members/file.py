"""Workers named in a JSON or TOML file, which may be replaced at any time.

The file is polled, which works for replaced files, mounted ConfigMaps and network file systems alike. A file that
cannot be read or understood changes nothing, and is read again at each poll.
"""

import asyncio
import os
import tomllib
from pathlib import Path

import msgspec

from router.dial.allow import BadUrlError, Implied, parse_worker_url
from router.fleet.labels import Labels
from router.members.source import Findings, WorkerSpec

MAX_FILE_BYTES = 4 << 20


class _FileEntry(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    models: list[str] = []
    role: str = ""
    drain: bool = False


class _Page(msgspec.Struct, forbid_unknown_fields=True):
    workers: list[str | _FileEntry]


class FileSource:
    """A watched file. Its workers need a rule of `worker_allow`: write access to the file must not give access to any
    address."""

    implied: Implied | None = None

    def __init__(self, path: str, interval_s: float) -> None:
        self.name = f"file:{Path(path).name}"
        self._path = Path(path)
        self._interval_s = interval_s

    async def run(self, findings: Findings) -> None:
        """Poll the file for ever."""
        seen: tuple[int, ...] = ()
        while True:
            try:
                stamp = await asyncio.to_thread(self._stamp)
                if stamp != seen:
                    findings.found(read_page(await asyncio.to_thread(self._read), self._path.suffix == ".toml"))
                    seen = stamp
                else:
                    findings.unchanged()
            except OSError as error:
                seen = ()
                findings.failed(f"cannot be read ({error.strerror or 'OSError'})")
            except ValueError as error:
                seen = ()
                findings.failed(str(error))
            await asyncio.sleep(self._interval_s)

    def _stamp(self) -> tuple[int, ...]:
        state = os.stat(self._path)  # noqa: PTH116 - follows the links that a ConfigMap is made of
        return (state.st_ino, state.st_mtime_ns, state.st_size)

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ValueError(f"is larger than {MAX_FILE_BYTES} bytes")
        return data


def read_page(data: bytes, toml: bool) -> list[WorkerSpec]:
    """The workers of a file. ValueError says what is wrong with it, for the log."""
    try:
        page = msgspec.convert(tomllib.loads(data.decode()), _Page) if toml else msgspec.json.decode(data, type=_Page)
    except msgspec.ValidationError as error:
        raise ValueError(f"does not hold what it should: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not {'TOML' if toml else 'JSON'}: {error}"[:200]) from None
    return [_spec(number, entry) for number, entry in enumerate(page.workers)]


def _spec(number: int, entry: str | _FileEntry) -> WorkerSpec:
    if isinstance(entry, str):
        entry = _FileEntry(entry)
    try:
        url = parse_worker_url(entry.url).url
    except BadUrlError as error:
        raise ValueError(f"the URL of workers[{number}] {error}") from None
    return WorkerSpec(url, Labels(frozenset(entry.models), entry.role), entry.drain)
