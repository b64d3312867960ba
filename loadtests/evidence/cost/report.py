"""Measurements to a markdown table: medians over the repeats, and ratios to the router that all are compared with."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from loadtests.harness.machine import machine

REFERENCE = "sglang-router"


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """One kind of request."""

    workers: int
    chunks: int
    """0: not streamed."""
    interval_ms: float
    """Between two chunks; 0 is one chunk in each turn of the worker's event loop."""
    size_kb: int

    @property
    def title(self) -> str:
        """The name of the case's row in the table."""
        pace = f", {self.chunks} chunks {f'{self.interval_ms:g} ms apart' if self.interval_ms else 'at once'}"
        return f"{self.size_kb} KB{pace if self.chunks else ''}, {self.workers} workers"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run. Times in milliseconds; CPU is of the router's process tree. nan where an arm has no such thing."""

    case: Case
    arm: str
    requests: int
    errors: int
    error: str
    per_second: float
    cpu_ms: float
    """Per request, all included."""
    encode_ms: float
    """Per request, the encoder's part of `cpu_ms`."""
    idle_ms_per_s: float
    """CPU per second with no requests."""
    rss_mb: float
    ttft_ms: tuple[float, float]
    """p50 and p99 at the paced rate."""
    overhead_ms: tuple[float, float]
    """p50 and p99 of what the router itself measured at the paced rate."""
    stall_ms: float
    """The event loop's longest lateness at the paced rate: its bucket's upper bound."""


def median(runs: Iterable[Measurement], value: Callable[[Measurement], float]) -> float:
    """The median over repeats; nan of nothing."""
    values = [value(run) for run in runs]
    return statistics.median(values) if values else float("nan")


def _number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


COLUMNS: tuple[tuple[str, Callable[[Measurement], float], int], ...] = (
    ("CPU without encoder, ms", lambda run: run.cpu_ms - run.encode_ms, 3),
    ("CPU in all, ms", lambda run: run.cpu_ms, 3),
    ("requests/s", lambda run: run.per_second, 0),
    ("TTFT p50, ms", lambda run: run.ttft_ms[0], 2),
    ("TTFT p99, ms", lambda run: run.ttft_ms[1], 2),
    ("own overhead p50, ms", lambda run: run.overhead_ms[0], 2),
    ("own overhead p99, ms", lambda run: run.overhead_ms[1], 2),
    ("longest stall, ms", lambda run: run.stall_ms, 1),
    ("idle CPU, ms/s", lambda run: run.idle_ms_per_s, 1),
    ("RSS, MB", lambda run: run.rss_mb, 0),
)


def table(measurements: Sequence[Measurement]) -> str:
    """One row per case and arm, in the order of measurement; the ratio is of CPU without encoder."""
    names = ["request", "router", "ratio", *(name for name, _, _ in COLUMNS), "requests", "errors"]
    lines = ["| " + " | ".join(names) + " |", "|---|---|" + "---:|" * (len(names) - 2)]
    by_run: dict[tuple[Case, str], list[Measurement]] = {}
    for measurement in measurements:
        by_run.setdefault((measurement.case, measurement.arm), []).append(measurement)
    cost = COLUMNS[0][1]
    for (case, arm), runs in sorted(by_run.items(), key=lambda item: item[0][0]):
        ratio = median(runs, cost) / median(by_run.get((case, REFERENCE), ()), cost)
        cells = [case.title, arm, _number(ratio, 2)]
        cells += [_number(median(runs, value), digits) for _, value, digits in COLUMNS]
        cells += [str(sum(run.requests for run in runs)), str(sum(run.errors for run in runs))]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def document(measurements: Sequence[Measurement], versions: dict[str, str], command: str, repeats: int) -> str:
    """The whole section: what was run, on what, and the table."""
    used = ", ".join(f"{name} {number}" for name, number in versions.items())
    failures = [f"- {run.arm}, {run.case.title}: {run.error}" for run in measurements if run.error]
    return "\n".join(
        [
            f"Machine: {machine()}. Versions: {used}. Medians of {repeats} repeats; CPU and latency per request.",
            "CPU is counted in a closed loop, TTFT and overhead at a paced rate; added latency: minus `direct`.",
            "",
            f"    {command}",
            "",
            table(measurements),
            *(["", "Errors:", *failures] if failures else []),
        ]
    )
