"""Exact times beside locust's rounded ones: kept, merged from worker processes, and shown in the web UI."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Response, request

from loadtests.laboratory.replay.record import Record
from loadtests.laboratory.replay.summary import Slo, Summary, Times, summary

if TYPE_CHECKING:  # importing locust patches threads and sockets: only a locust run may do it
    from locust.web import WebUI

TAB = "exact"
_COLUMNS = {"measure": "Measure", "p50": "p50", "p90": "p90", "p99": "p99", "max": "max"}


class Exact:
    """Records of one process; of all, in the master."""

    def __init__(self, skip_turns: int, slo: Slo) -> None:
        self._skip_turns = skip_turns
        self.slo = slo
        self._records: list[Record] = []
        self._sent = 0

    @property
    def said(self) -> str:
        """Which requests are counted."""
        return f"without the first {self._skip_turns} of each session" if self._skip_turns else "all requests"

    def forget(self) -> None:
        self._records, self._sent = [], 0

    def add(self, record: Record) -> None:
        self._records.append(record)

    def fresh(self) -> list[Any]:
        """Records that were not given before, as plain values."""
        new, self._sent = self._records[self._sent :], len(self._records)
        return [msgspec.to_builtins(record) for record in new]

    def take(self, records: Sequence[Any]) -> None:
        """What another process's `fresh` gave. Its clock is its own: only differences count."""
        self._records += [msgspec.convert(record, Record, strict=False) for record in records]

    def summary(self) -> Summary | None:
        """None of no requests."""
        counted = [record for record in self._records if record.turn >= self._skip_turns]
        return summary(counted, self.slo) if counted else None

    def rows(self) -> list[dict[str, str]]:
        """The tab's table."""
        found = self.summary()
        if found is None:
            return []
        rows = [_row("Time to first token", found.ttft), _row("End to end", found.whole)]
        rows.append(_row("Per answer token", found.per_token))
        facts = {
            "Hit rate, as the answers report it": f"{100 * found.hit_rate:.2f} %",
            f"Good ({self.slo})": f"{100 * found.good:.2f} %",
            f"Requests, {self.said}": str(found.requests),
            "Not complete": str(found.failed),
        }
        return rows + [{"measure": name, "p50": value} for name, value in facts.items()]


def _row(name: str, times: Times) -> dict[str, str]:
    values = {"p50": times.p50, "p90": times.p90, "p99": times.p99, "max": times.max}
    return {"measure": name} | {column: f"{1000 * value:.1f} ms" for column, value in values.items()}


def show(web_ui: "WebUI", exact: Exact) -> None:
    """A tab of the web UI, refreshed with locust's own statistics."""
    structure = [{"key": key, "title": title} for key, title in _COLUMNS.items()]
    web_ui.template_args |= {
        "extended_tabs": [{"title": "Exact times", "key": TAB}],
        "extended_tables": [{"key": TAB, "structure": structure}],
    }

    def extended(response: Response) -> Response:
        if request.path.endswith("/stats/requests") and response.is_json:
            statistics = {**(response.json or {}), "extended_stats": [{"key": TAB, "data": exact.rows()}]}
            response.set_data(json.dumps(statistics))
        return response

    assert web_ui.app is not None
    web_ui.app.after_request(extended)
