"""Arithmetic over an engine's samples, one number per DP rank, and the address of a page with only these samples.

A page of hundreds of metrics has some 50 KB per rank. `/metrics/?name[]=...` (the trailing slash matters: it reaches
prometheus_client's own application) answers with the named metrics only; a server that does not know this is asked for
the whole page.
"""

from collections.abc import Iterable, Sequence

from router.engines.prometheus_text import Sample

MAX_VALUE = 1e15
"""Up to this value a float counts exactly, and sums of it fit anywhere: no engine measures more."""
MAX_RANKS = 256
"""Data-parallel ranks of one server: each is a worker of its own here. The others get nothing from this router."""
MAX_BLOCK_TOKENS = 1 << 16
MAX_KV_TOKENS = 1 << 36
"""KV tokens of a whole worker: 100 times what the largest machines hold."""
WHOLE_PAGE = "/metrics"
_MOST_DIGITS = 18


def filtered_page(names: Iterable[str]) -> str:
    """Path and query of the page with only these metrics."""
    return "/metrics/?" + "&".join(f"name[]={name}" for name in names)


def by_rank(samples: Sequence[Sample]) -> dict[int, list[Sample]]:
    """The samples of each rank, in the order of the ranks' numbers. What names no rank is the first one's; what names
    it with anything but a number is left out."""
    found: dict[int, list[Sample]] = {}
    for sample in samples:
        number = sample.labels.get("engine", "0")
        if number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS:
            found.setdefault(int(number), []).append(sample)
    return {number: found[number] for number in sorted(found)[:MAX_RANKS]}


def values(samples: Sequence[Sample], name: str) -> list[float]:
    """The plausible values of one metric: neither negative nor infinite."""
    return [sample.value for sample in samples if sample.name == name and 0 <= sample.value <= MAX_VALUE]


def total(samples: Sequence[Sample], name: str) -> int:
    """Sum over all ranks, never negative; 0 when absent."""
    return max(0, round(sum(values(samples, name))))


def share(samples: Sequence[Sample], name: str) -> float:
    """Mean over all ranks, within 0..1; 0 when absent."""
    found = values(samples, name)
    return min(1.0, max(0.0, sum(found) / len(found))) if found else 0.0


def count(text: str) -> int:
    """A label's text as a positive whole number; 0 when it is no such number (`None`, empty)."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else 0
