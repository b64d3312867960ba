"""What shadows counted, by model, client and policy: since the start, and by month as a table for those who pay.

It is of this process. For longer the counters are there (`warmroute_shadow_*`), which Prometheus keeps.
"""

import calendar
import csv
import io
import time
from collections.abc import Callable, Mapping

MOST_MONTHS = 24
MOST_ROWS = 10_000
"""Models, clients and policies, together. Further models and clients count as `REST`: models are named by workers."""
REST = "(others)"
HOUR_S = 3600
HEADER = (
    "month", "model", "client", "policy", "requests", "prompt_tokens", "cached_tokens", "prefill_worker_hours",
    "saved_worker_hours", "saved_money",
)  # fmt: skip
MARKS = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings by which a spreadsheet takes a cell for a formula."""

Label = tuple[str, str, str]
"""Model, client, policy."""


class Counted:
    """What the requests of one label come to."""

    __slots__ = ("cached_tokens", "prefill_s", "prompt_tokens", "requests")

    def __init__(
        self, requests: int = 0, prompt_tokens: int = 0, cached_tokens: int = 0, prefill_s: float = 0.0
    ) -> None:
        self.requests = requests
        self.prompt_tokens = prompt_tokens
        self.cached_tokens = cached_tokens
        self.prefill_s = prefill_s

    def include(self, other: "Counted") -> None:
        """Count what the other one has, too."""
        self.requests += other.requests
        self.prompt_tokens += other.prompt_tokens
        self.cached_tokens += other.cached_tokens
        self.prefill_s += other.prefill_s

    def since(self, then: "Counted | None") -> "Counted":
        """What was counted after `then`; all of it without."""
        if then is None:
            then = Counted()
        return Counted(
            self.requests - then.requests,
            self.prompt_tokens - then.prompt_tokens,
            self.cached_tokens - then.cached_tokens,
            self.prefill_s - then.prefill_s,
        )


Counts = dict[Label, Counted]


class Months:
    """One count since the start, and how it stood when each of the last months began."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since 1970."""
        self.since_start: Counts = {}
        self._clock = clock
        self._began: dict[str, Counts] = {}
        self._ends_at = 0.0
        """When the present month ends, in seconds since 1970."""

    def add(self, label: Label, prompt_tokens: int, cached_tokens: int, prefill_s: float) -> None:
        """One request."""
        now = self._clock()
        if now >= self._ends_at:
            self._begin(now)
        counted = self.since_start.get(label) or self._first(label)
        counted.requests += 1
        counted.prompt_tokens += prompt_tokens
        counted.cached_tokens += cached_tokens
        counted.prefill_s += prefill_s

    def _first(self, label: Label) -> Counted:
        if len(self.since_start) >= MOST_ROWS:
            label = (REST, REST, label[2])
        return self.since_start.setdefault(label, Counted())

    def _begin(self, now: float) -> None:
        this = time.gmtime(now)
        year, month = divmod(this.tm_year * 12 + this.tm_mon, 12)
        self._ends_at = _first_second(year, month + 1)
        self._began[f"{this.tm_year:04}-{this.tm_mon:02}"] = {
            label: counted.since(None) for label, counted in self.since_start.items()
        }
        if len(self._began) > MOST_MONTHS:
            del self._began[next(iter(self._began))]

    def table(self, served: str, price: float | None) -> str:
        """The months as CSV. `served`: the policy with which the others are compared; `price`: money for a worker
        hour."""
        out = io.StringIO()
        rows = csv.writer(out, lineterminator="\r\n")
        rows.writerow(HEADER)
        stands = [*self._began.values(), self.since_start]
        for name, before, after in zip(self._began, stands, stands[1:], strict=False):
            month = _between(before, after)
            for (model, client, policy), counted in sorted(month.items()):
                real = month.get((model, client, served)) or Counted()
                saved_h = (counted.prefill_s - real.prefill_s) / HOUR_S
                money = "" if price is None else f"{saved_h * price:.2f}"
                tokens = str(counted.prompt_tokens), str(counted.cached_tokens)
                hours = f"{counted.prefill_s / HOUR_S:.4f}", f"{saved_h:.4f}"
                rows.writerow(
                    (name, _cell(model), _cell(client), _cell(policy), counted.requests, *tokens, *hours, money)
                )
        return out.getvalue()


def _between(before: Mapping[Label, Counted], after: Mapping[Label, Counted]) -> Counts:
    """Only labels with requests between the two."""
    counts = {label: counted.since(before.get(label)) for label, counted in after.items()}
    return {label: counted for label, counted in counts.items() if counted.requests}


def _first_second(year: int, month: int) -> float:
    """The first second of a month, as seconds since 1970."""
    return calendar.timegm((year, month, 1, 0, 0, 0))


def _cell(text: str) -> str:
    """As text. Danger: where spreadsheets part cells by semicolons, what stands behind one is a cell of its own."""
    text = text.replace(";", ",")
    return f"'{text}" if text.lstrip(" ").startswith(MARKS) else text
