"""Opens a trace of any known format, compressed or not, and keeps what took long to read on disk."""

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np

from loadtests.laboratory.traces import azure, kvtraces, litellm, mooncake, passed, requests, vllm_log
from loadtests.laboratory.traces.script import Script, Turn

BYTES = "bytes"
"""The tokenizer that is none: four bytes of text a token."""
MAX_LINE = 1 << 28
"""Characters: a file without line ends must not fill the memory."""
BAD_ROW = (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError, msgspec.ValidationError)
"""What readers raise for a row that is none."""
_VERSION = "1"
Form = Literal["azure", "mooncake", "kvtraces", "sessions", "log", "passed", "vllm"]
_T = TypeVar("_T")


class UnknownTraceError(ValueError):
    """The file is of no known format."""


def read(path: Path, tokenizer: str = BYTES, limit: int = 0) -> list[Script]:
    """The first `limit` scripts of a trace (0: all). Raises UnknownTraceError, OSError; text is tokenized once for
    every file and tokenizer."""
    if tokenizer == BYTES:
        return _first(_scripts(path, requests.ByteRuler()), limit)
    kept = _kept(path, tokenizer, limit)
    if not kept.exists():
        scripts = _first(_scripts(path, requests.TokenizerRuler(tokenizer)), limit)
        kept.parent.mkdir(parents=True, exist_ok=True)
        _save(kept, scripts)
    return _load(kept)


def recorded(paths: Sequence[Path], tokenizer: str = BYTES) -> passed.RecordedTraffic | None:
    """What trace files of routers tell together, or one log; None for other traces. Raises UnknownTraceError,
    OSError."""
    traces = [open_trace(path) for path in paths]
    if all(trace.form == "passed" for trace in traces):
        return passed.together([trace.explained(passed.requests_of(trace.rows)) for trace in traces])
    if len(traces) == 1 and traces[0].form in ("log", "vllm"):
        return passed.RecordedTraffic(read(paths[0], tokenizer), [], [])
    return None


def _first(scripts: Iterator[Script], limit: int) -> list[Script]:
    return list(islice(scripts, limit or None))


def _scripts(path: Path, ruler: requests.Ruler) -> Iterator[Script]:
    trace = open_trace(path)
    readers: dict[Form, Callable[[Iterator[Any]], Iterator[Script]]] = {
        "azure": azure.read,
        "mooncake": mooncake.read,
        "kvtraces": kvtraces.read,
        "sessions": lambda rows: requests.read_sessions(rows, ruler),
        "log": lambda rows: requests.read_log(rows, ruler),
        "passed": passed.read,
        "vllm": vllm_log.read,
    }
    return trace.explained(readers[trace.form](trace.rows))


class Trace:
    """A file of a known format, not yet read: its rows, once, and which line is being read."""

    def __init__(self, path: Path, form: Form, lines: Iterator[str]) -> None:
        self.form = form
        self._path = path
        self._line = 0
        if form == "passed":
            lines = filter(_whole, lines)
        told = self._counted(lines)
        self.rows: Iterator[Any] = told if form in ("azure", "vllm") else map(self._row, told)

    def explained(self, found: Iterator[_T]) -> Iterator[_T]:
        """What a reader makes of the rows; a row that it cannot read raises UnknownTraceError, with its line."""
        try:
            yield from found
        except UnknownTraceError:
            raise
        except BAD_ROW as error:
            said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise UnknownTraceError(f"{self._path}, line {self._line}: {said} (see docs/laboratory.md)") from None

    def _counted(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            self._line += 1
            yield line

    def _row(self, line: str) -> Any:
        try:
            return msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            raise UnknownTraceError(f"{self._path}, line {self._line}: {error}") from None


def _whole(line: str) -> bool:
    """False for a line that was still being written when its router was killed."""
    return line.endswith("\n")


def open_trace(path: Path) -> Trace:
    """The file, its format recognised by the first line. Raises UnknownTraceError, OSError."""
    rest = lines(path)
    first = next(rest, "")
    form = _form(first, path)
    trace = Trace(path, "log" if form == "litellm" else form, _chained(first, rest))
    if form == "litellm":
        trace.rows = litellm.log_rows(trace.rows)
    return trace


def _form(first: str, path: Path) -> Form | Literal["litellm"]:
    if first.startswith("TIMESTAMP"):
        return "azure"
    if vllm_log.is_one(first):
        return "vllm"
    try:
        row = msgspec.json.decode(first)
    except (msgspec.DecodeError, RecursionError):
        row = None
    marks: dict[Form | Literal["litellm"], set[str]] = {
        "mooncake": {"hash_ids"},
        "kvtraces": {"tool_tokens"},
        "sessions": {"messages", "requests"},
        "log": {"body", "t"},
        "passed": {"warmroute_trace"},
        "litellm": litellm.MARKS,
    }
    for form, names in marks.items():
        if isinstance(row, dict) and names <= row.keys():
            return form
    raise UnknownTraceError(f"{path}: no known trace format (see docs/laboratory.md)")


def lines(path: Path) -> Iterator[str]:
    """The lines of a file, compressed or not, that hold anything. Raises UnknownTraceError for one without end."""
    packed = path.suffix == ".zst"
    with (
        path.open("rb") as file,
        io.TextIOWrapper(_unpacked(file) if packed else file, encoding="utf-8", errors="replace") as text,
    ):
        while line := text.readline(MAX_LINE):
            if len(line) == MAX_LINE:
                raise UnknownTraceError(f"{path}: a line is longer than {MAX_LINE:,} characters")
            if line.strip():
                yield line


def _unpacked(file: io.BufferedReader) -> Any:
    try:
        import zstandard  # noqa: PLC0415  (of the loadtest extra)
    except ImportError:
        raise UnknownTraceError("reading .zst needs: pip install 'warmroute[loadtest]'") from None
    return zstandard.ZstdDecompressor().stream_reader(file)


def _chained(first: str, rest: Iterable[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _kept(path: Path, tokenizer: str, limit: int) -> Path:
    stat = path.stat()
    key = f"{_VERSION} {path.resolve()} {stat.st_size} {stat.st_mtime_ns} {tokenizer} {limit}"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "warmroute-lab" / f"{hashlib.blake2b(key.encode(), digest_size=10).hexdigest()}.npz"


def _save(path: Path, scripts: list[Script]) -> None:
    turns = [turn for script in scripts for turn in script.turns]
    part = path.with_suffix(f".{os.getpid()}.npz")
    np.savez_compressed(
        part,
        names=np.array([script.name for script in scripts]),
        counts=np.array([len(script.turns) for script in scripts]),
        shared=np.array([script.shared_blocks for script in scripts]),
        starts=np.array([np.nan if script.starts_s is None else script.starts_s for script in scripts]),
        facts=np.array([(turn.keep, len(turn.new), *turn[2:6]) for turn in turns], dtype=np.float64).reshape(-1, 6),
        new=np.concatenate([np.empty(0, dtype=np.uint64), *(turn.new for turn in turns)]),
    )
    part.replace(path)


def _load(path: Path) -> list[Script]:
    with np.load(path) as kept:
        new, facts = kept["new"], kept["facts"].tolist()
        heads = zip(*(kept[name].tolist() for name in ("names", "counts", "shared", "starts")), strict=True)
        scripts, turn, block = [], 0, 0
        for name, count, shared, start in heads:
            turns = []
            for keep, length, prompt, answer, think_s, service_s in facts[turn : turn + count]:
                hashes = new[block : block + int(length)]
                block += int(length)
                turns.append(Turn(int(keep), hashes, int(prompt), int(answer), think_s, service_s))
            turn += count
            scripts.append(Script(name, turns, shared, None if start != start else start))
    return scripts
