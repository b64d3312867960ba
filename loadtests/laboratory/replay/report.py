"""A replay as Markdown and as JSON."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from loadtests.laboratory.markdown import Table, number
from loadtests.laboratory.replay.engines import Sight
from loadtests.laboratory.replay.record import Record
from loadtests.laboratory.replay.summary import Slo, Summary, Times


def markdown(title: str, summary: Summary, slo: Slo, engines: Mapping[str, Sight]) -> str:
    """Everything that was found, as text."""
    parts = [_totals(title, summary, slo).markdown(), _times(summary).markdown()]
    if summary.errors:
        parts.append(_errors(summary).markdown())
    if summary.reasons:
        counts = ", ".join(f"{name} {count:,}" for name, count in summary.reasons.items())
        parts.append(f"The router's reasons: {counts}; {len(summary.workers)} workers chosen.")
    if engines:
        parts.append(_engines(engines).markdown())
    return "\n\n".join(parts)


def as_json(summary: Summary, slo: Slo, engines: Mapping[str, Sight]) -> dict[str, Any]:
    """The same, for programs: NaN is null."""
    engine_rows = {url: {**sight._asdict(), "hit_rate": sight.hit_rate} for url, sight in engines.items()}
    found = {**dataclasses.asdict(summary), "slo": dataclasses.asdict(slo), "engines": engine_rows}
    return {name: _known(value) for name, value in found.items()}


def row(record: Record) -> dict[str, Any]:
    """One request as a line of JSON."""
    kept = record._asdict() | {"usage": record.usage._asdict(), "decision": record.decision._asdict()}
    return {name: _known(value) for name, value in kept.items()}


def _known(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _known(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _totals(title: str, summary: Summary, slo: Slo) -> Table:
    rows = [
        ("requests", number(summary.requests)),
        ("not complete", number(summary.failed)),
        ("hit rate, as the answers report it", _percent(summary.hit_rate)),
        ("... of this many answers", _percent(summary.reported)),
        (f"good ({slo})", _percent(summary.good)),
        ("complete answers per second", number(summary.rate, "", 2)),
        ("good answers per second", number(summary.goodput, "", 2)),
        ("prompt tokens per second", number(summary.prompt_tokens_per_s)),
        ("answer tokens per second", number(summary.answer_tokens_per_s)),
        ("seconds", number(summary.seconds, "", 1)),
    ]
    if not math.isnan(summary.predicted):
        rows.insert(4, ("hit rate, as the router predicted it", _percent(summary.predicted)))
    return Table(title, ("", "client"), rows)


def _times(summary: Summary) -> Table:
    def line(name: str, times: Times) -> tuple[str, ...]:
        return (name, *map(_ms, (times.mean, times.p50, times.p90, times.p99, times.max)))

    named = {
        "time to first token": summary.ttft,
        "end to end": summary.whole,
        "per answer token": summary.per_token,
        "whole session": summary.session,
    }
    header = ("", "mean", "p50", "p90", "p99", "max")
    return Table("Times of complete answers", header, [line(*pair) for pair in named.items()])


def _errors(summary: Summary) -> Table:
    rows = [(kind, number(count), summary.examples.get(kind, "")) for kind, count in summary.errors.items()]
    return Table("Errors", ("kind", "requests", "for example"), rows)


def _engines(engines: Mapping[str, Sight]) -> Table:
    total = Sight()
    for sight in engines.values():
        total = total.plus(sight)
    rows: Sequence[tuple[str, ...]] = [
        (name, number(s.requests), number(s.prompt_tokens), _percent(s.hit_rate), _ms(s.ttft_s), number(s.preemptions))
        for name, s in (*engines.items(), ("all", total))
    ]
    header = ("engine", "requests", "prompt tokens", "hit rate", "mean TTFT", "preemptions")
    return Table("What the engines counted meanwhile, first turns and all", header, rows)


def _ms(seconds: float) -> str:
    return number(1000 * seconds, "ms", 1)


def _percent(share: float) -> str:
    return number(100 * share, "%", 2)
