"""Reads PromQL: which metrics and labels an expression names, and which of them the router has."""

import re

from promql_parser import AggModifierType, AggregateExpr, Expr, VectorSelector, parse, walk

from tests.test_docs import documented_metrics

SCRAPED = {"instance", "job", "le"}
"""Labels that Prometheus adds, or every histogram has."""
FOREIGN = {
    "up": set[str](),
    "process_cpu_seconds_total": set[str](),
    "process_max_fds": set[str](),
    "process_open_fds": set[str](),
    "process_resident_memory_bytes": set[str](),
    "process_start_time_seconds": set[str](),
    "python_gc_collections_total": {"generation"},
}
"""Metrics of Prometheus' own client, and of Prometheus itself."""


def known_labels() -> dict[str, set[str]]:
    """Every metric by the name that queries use, with its labels. A test keeps the page true to the router."""
    known = dict(FOREIGN)
    for name, (kind, labels) in documented_metrics().items():
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        known |= {name + suffix: set(re.findall(r"\w+", labels)) for suffix in suffixes}
    return known


def selectors(expr: str) -> list[VectorSelector]:
    """What is read of the database. Raises ValueError for what is no PromQL."""
    return [node for node in nodes(parse(expr)) if isinstance(node, VectorSelector)]


def nodes(expr: Expr) -> list[Expr]:
    """An expression and all that it is made of."""
    found: list[Expr] = []
    walk(expr, found.append)
    return found


def unknown(expr: str) -> list[str]:
    """What an expression names and the router does not have: metrics, labels of metrics, labels to add up by."""
    known = known_labels()
    wrong = [name for node in nodes(parse(expr)) if isinstance(node, AggregateExpr) for name in lost(node, known)]
    for selector in selectors(expr):
        name = selector.name or ""
        if name not in known:
            wrong.append(name)
            continue
        labels = {matcher.name for matcher in selector.matchers.matchers}
        wrong += [f"{name}{{{label}}}" for label in labels - known[name] - SCRAPED]
    return wrong


def lost(aggregate: AggregateExpr, known: dict[str, set[str]]) -> set[str]:
    """Labels that it adds up by, and that nothing inside it has."""
    if aggregate.modifier is None or aggregate.modifier.type != AggModifierType.By:
        return set()
    inside = [node.name or "" for node in nodes(aggregate.expr) if isinstance(node, VectorSelector)]
    return set(aggregate.modifier.labels) - SCRAPED - {label for name in inside for label in known.get(name, ())}
