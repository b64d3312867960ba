"""The arms: how each router is started, when it is ready, and what its processes use.

CPU time is that of the router's whole process tree. A router gets a core of its own; its log goes to a file, so that a
full pipe never blocks it.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from prometheus_client.parser import text_string_to_metric_families

from loadtests.evidence.cost.stub_worker import MODEL
from loadtests.harness.processes import call
from loadtests.harness.usage import Usage

_START_TIMEOUT_S = 120.0


class NotStarted(RuntimeError):
    """A process of the benchmark did not become ready; the message says where its log is."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a router is started with."""

    python: str
    """Interpreter of the environment that the router is installed in."""
    workers: Sequence[str]
    port: int
    metrics_port: int
    tokenizer: str
    extra: Sequence[str] = ()


def _warmroute(setup: Setup) -> list[str]:
    workers = [part for url in setup.workers for part in ("--worker", url)]
    command = [setup.python, "-m", "router", "serve", "--host", "127.0.0.1", "--port", str(setup.port), *workers]
    command += ["--policy", "expected_ttft"]
    return command + (["--tokenizer", setup.tokenizer] if setup.tokenizer else []) + list(setup.extra)


def _rust(setup: Setup, launch: Sequence[str], policy: str) -> list[str]:
    """sglang-router and its two descendants share most of their command line."""
    command = [setup.python, *launch, "--host", "127.0.0.1", "--port", str(setup.port), "--policy", policy]
    command += ["--prometheus-port", str(setup.metrics_port), "--log-level", "error"]
    return [*command, "--worker-startup-check-interval", "1", "--worker-urls", *setup.workers]


ARMS: dict[str, Callable[[Setup], list[str]]] = {
    "warmroute": _warmroute,
    "sglang-router": lambda setup: _rust(setup, ["-m", "sglang_router.launch_router"], "cache_aware"),
    "vllm-router": lambda setup: _rust(setup, ["-m", "vllm_router.launch_router"], "cache_aware"),
    "smg": lambda setup: _rust(setup, ["-m", "smg.launch_router"], "cache_aware"),
}
DIRECT = "direct"
"""The arm without a router: the client's own latency."""


def version(python: str, distribution: str) -> str:
    """The installed version of a distribution in another environment."""
    code = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    asked = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "?"


def pinned(command: Sequence[str], cpu: int) -> list[str]:
    """The command, on one core (where `taskset` exists)."""
    return ["taskset", "-c", str(cpu), *command] if shutil.which("taskset") else list(command)


def get(port: int, path: str) -> tuple[int, str]:
    """Status and text of a GET on this machine; status 0 when nothing answers."""
    return call(port, "GET", path, None)


@contextmanager
def process(command: Sequence[str], log: Path, **streams: Any) -> Any:
    """A child process that is gone at the end: SIGTERM, then SIGKILL."""
    with log.open("ab") as sink:
        child = subprocess.Popen(command, stderr=sink, **({"stdout": sink} | streams))
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


class Router:
    """A started router: `with` starts it, waits until it serves and knows all workers, and stops it."""

    def __init__(self, name: str, setup: Setup, cpu: int, log: Path) -> None:
        self._command = pinned(ARMS[name](setup), cpu)
        self._setup = setup
        self._log = log
        self._name = name
        self._context = process(self._command, log)
        self.port = setup.port

    def __enter__(self) -> Self:
        self._child = self._context.__enter__()
        self.usage = Usage(self._child.pid)
        try:
            self._wait()
        except BaseException:
            self._context.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.__exit__(kind, error, trace)

    def _wait(self) -> None:
        give_up = time.monotonic() + _START_TIMEOUT_S
        while not (self._answers() and self._knows_all() and self._has_loaded()):
            if self._child.poll() is not None or time.monotonic() > give_up:
                raise NotStarted(f"{self._name} did not start, see {self._log}")
            time.sleep(0.25)

    def _answers(self) -> bool:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Are you there?"}]}
        return call(self.port, "POST", "/v1/chat/completions", body)[0] == 200

    def _knows_all(self) -> bool:
        first = int(self._setup.workers[0].rpartition(":")[2])
        counts = json.loads(get(first, "/counts")[1])
        return all(asked for asked, _ in counts.values())

    def _has_loaded(self) -> bool:
        """Whether the tokenizer is there: prompts that came before it would be new to it in the measured part."""
        said = self.said()
        return said is None or not said.tokenizers_loading

    def said(self) -> "Said | None":
        """What the router's own metrics say, where they are Warmroute's."""
        status, text = get(self.port, "/metrics")
        return Said.parse(text) if status == 200 and "warmroute_" in text else None


_LAG = "warmroute_loop_lag_seconds_bucket"
_OVERHEAD = "warmroute_overhead_seconds_bucket"


@dataclass(frozen=True, slots=True)
class Said:
    """Warmroute's own measurements, as totals since its start."""

    encode_ms: float
    tokenizers_loading: float
    lag_buckets: Mapping[float, float]
    """How late its event loop woke up. Upper bound in seconds -> cumulative count."""
    overhead_buckets: Mapping[float, float]
    """Likewise, from the last request byte in to the first byte out towards the worker."""

    @classmethod
    def parse(cls, text: str) -> "Said":
        """From the text of /metrics."""
        values = {"warmroute_encode_cpu_seconds_total": 0.0, "warmroute_tokenizers_loading": 0.0}
        histograms: dict[str, dict[float, float]] = {_LAG: {}, _OVERHEAD: {}}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name in values:
                    values[sample.name] += sample.value
                elif (buckets := histograms.get(sample.name)) is not None:
                    bound = float(sample.labels["le"])
                    buckets[bound] = buckets.get(bound, 0.0) + sample.value
        encode_s, loading = values.values()
        return cls(encode_s * 1000, loading, histograms[_LAG], histograms[_OVERHEAD])

    def overhead_ms(self, before: "Said", share: float) -> float:
        """A quantile of the overhead since `before`: its bucket's upper bound, nothing interpolated. 0 of nothing."""
        return _quantile_ms(self.overhead_buckets, before.overhead_buckets, share)

    def stall_ms(self, before: "Said") -> float:
        """The event loop's longest lateness since `before`: its bucket's upper bound."""
        return _quantile_ms(self.lag_buckets, before.lag_buckets, 1.0)


def _quantile_ms(after: Mapping[float, float], before: Mapping[float, float], share: float) -> float:
    counts = {bound: after[bound] - before.get(bound, 0.0) for bound in sorted(after)}
    total = max(counts.values(), default=0.0)
    if not total:
        return 0.0
    return 1000 * next(bound for bound, count in counts.items() if count >= share * total)


def pipes_of(child: "subprocess.Popen[str]") -> tuple[IO[str], IO[str]]:
    """The pipes to and from a process that answers line by line."""
    if child.stdin is None or child.stdout is None:
        raise NotStarted("the process has no pipes")
    return child.stdin, child.stdout
