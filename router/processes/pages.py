"""Merges the metrics pages of several processes into one.

Pages are merged line by line as text, which costs a tenth of parsing them: all processes run the same code, so equal
labels give equal lines. Counters and histograms are summed. The sets below say for each gauge what happens: the sum of
values that are equal in every process would be wrong. A metric that describes one process gets a label instead.
"""

from collections.abc import Callable, Iterable, Sequence

OF_THE_PROCESS = ("process_", "python_")
HIGHEST = frozenset(
    {
        "warmroute_discovered_workers",
        "warmroute_discovery_age_seconds",
        "warmroute_discovery_refused_workers",
        "warmroute_index_blocks",
        "warmroute_index_nodes",
        "warmroute_keys_file_broken",
        "warmroute_kv_events_blocks",
        "warmroute_kv_events_complete",
        "warmroute_loop_stall_seconds",
        "warmroute_redis_memory_bytes",
        "warmroute_redis_secret_differs",
        "warmroute_routers",
        "warmroute_session_holds_back",
        "warmroute_session_lease_seconds",
        "warmroute_session_margin_ratio",
        "warmroute_session_recomputed_ratio",
        "warmroute_session_room_tokens",
        "warmroute_session_tstar_seconds",
        "warmroute_session_wait_bound_seconds",
        "warmroute_worker_alarm",
        "warmroute_worker_breaker_open",
        "warmroute_worker_draining",
        "warmroute_worker_engine_waiting",
        "warmroute_worker_info",
        "warmroute_worker_kv_capacity_tokens",
        "warmroute_worker_kv_kept_tokens",
        "warmroute_worker_kv_usage_ratio",
        "warmroute_worker_prefill_tokens_per_second",
        "warmroute_worker_restarts_total",
        "warmroute_workers_leaving",
    }
)
"""Gauges of something that all processes see: the page shows the highest value."""
LOWEST = frozenset({"warmroute_redis_up", "warmroute_worker_healthy"})
"""Gauges that are 1 only if every process says 1: the page shows the lowest value."""

Rule = Callable[[float, float], float]


class _Family:
    """One metric's lines."""

    def __init__(self, head: list[str], kind: str, rule: Rule) -> None:
        self.head = head
        self.kind = kind
        self.rule = rule
        self.samples: dict[str, float] = {}


def merge(live: Iterable[tuple[int, str]], ended: Sequence[str] = ()) -> str:
    """The merged page. `live` are the pages of running processes, by number. Only the counters of `ended` processes are
    used."""
    families: dict[str, _Family] = {}
    for number, page in live:
        _add(families, page, f'process="{number}"')
    for page in ended:
        _add(families, page, "")
    return _text(families)


def _add(families: dict[str, _Family], page: str, process: str) -> None:
    """Add a page; `process` is empty for an ended process."""
    family: _Family | None = None
    help_line = ""
    own = False
    for line in page.splitlines():
        if line.startswith("# HELP "):
            help_line = line
        elif line.startswith("# TYPE "):
            name, _, kind = line[7:].partition(" ")
            own = name.startswith(OF_THE_PROCESS)
            family = _family(families, name, kind, [help_line, line], process)
        elif line and family is not None:
            sample, _, value = line.rpartition(" ")
            if own:
                sample = _labelled(sample, process)
            before = family.samples.get(sample)
            family.samples[sample] = float(value) if before is None else family.rule(before, float(value))


def _family(families: dict[str, _Family], name: str, kind: str, head: list[str], process: str) -> _Family | None:
    """The family to add to; None for values of an ended process that no longer count."""
    if not process and (kind not in ("counter", "histogram") or name.startswith(OF_THE_PROCESS)):
        return None
    family = families.get(name)
    if family is None:
        rule: Rule = max if name in HIGHEST else min if name in LOWEST else _sum
        family = families[name] = _Family(head, kind, rule)
    return family


def _sum(one: float, other: float) -> float:
    return one + other


def _labelled(sample: str, label: str) -> str:
    name, brace, rest = sample.partition("{")
    return f"{name}{{{label},{rest}" if brace else f"{name}{{{label}}}"


def _text(families: dict[str, _Family]) -> str:
    lines = []
    for family in families.values():
        lines += family.head
        lines += [f"{sample} {_number(value)}" for sample, value in family.samples.items()]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    text = repr(value)
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(text, text)
