"""What shadows counted, by month, model and client, as a table for those who pay.

It is of this process since its start. For longer the counters are there (`warmroute_shadow_*`), which Prometheus keeps.
"""

import csv
import io
import time
from collections.abc import Callable
from typing import NamedTuple

MOST_MONTHS = 24
MOST_ROWS = 10_000
"""Of one month. Further models and clients count as `REST`: models are named by workers."""
REST = "(others)"
HOUR_S = 3600
HEADER = (
    "month", "model", "client", "policy", "requests", "prompt_tokens", "cached_tokens", "prefill_worker_hours",
    "saved_worker_hours", "saved_money",
)  # fmt: skip
MARKS = ("=", "+", "-", "@", "\t", "\r")
"""With these a spreadsheet takes a cell for a formula."""


class Counted(NamedTuple):
    """Of one model, client and policy."""

    requests: int = 0
    prompt_tokens: float = 0.0
    cached_tokens: float = 0.0
    prefill_s: float = 0.0

    def plus(self, prompt_tokens: float, cached_tokens: float, prefill_s: float) -> "Counted":
        """With one request more."""
        return Counted(
            self.requests + 1,
            self.prompt_tokens + prompt_tokens,
            self.cached_tokens + cached_tokens,
            self.prefill_s + prefill_s,
        )


Month = dict[tuple[str, str, str], Counted]


class Months:
    """The last months. `clock`: seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._months: dict[str, Month] = {}

    def add(self, label: tuple[str, str, str], prompt_tokens: int, cached_tokens: int, prefill_s: float) -> None:
        """One request. `label`: model, client, policy."""
        month = self._this_month()
        if label not in month and len(month) >= MOST_ROWS:
            label = (REST, REST, label[2])
        month[label] = month.get(label, Counted()).plus(prompt_tokens, cached_tokens, prefill_s)

    def table(self, served: str, price: float | None) -> str:
        """As CSV. `served`: the policy with which the others are compared; `price`: of a worker hour."""
        out = io.StringIO()
        rows = csv.writer(out, lineterminator="\r\n")
        rows.writerow(HEADER)
        for name, month in self._months.items():
            for (model, client, policy), counted in sorted(month.items()):
                real = month.get((model, client, served), Counted())
                saved_h = (counted.prefill_s - real.prefill_s) / HOUR_S
                money = "" if price is None else f"{saved_h * price:.2f}"
                tokens = f"{counted.prompt_tokens:.0f}", f"{counted.cached_tokens:.0f}"
                hours = f"{counted.prefill_s / HOUR_S:.4f}", f"{saved_h:.4f}"
                rows.writerow(
                    (name, _cell(model), _cell(client), _cell(policy), counted.requests, *tokens, *hours, money)
                )
        return out.getvalue()

    def _this_month(self) -> Month:
        now = time.gmtime(self._clock())
        name = f"{now.tm_year:04}-{now.tm_mon:02}"
        month = self._months.get(name)
        if month is None:
            month = self._months[name] = {}
            if len(self._months) > MOST_MONTHS:
                del self._months[next(iter(self._months))]
        return month


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(MARKS) else text
