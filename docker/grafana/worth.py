"""The rows that are open first: is it working, is it right, what does it save, how fast is it."""

from dataclasses import replace

from docker.grafana.panels import (
    FAILED,
    MODEL,
    ROUTER,
    STEP,
    WORKER,
    Panel,
    Query,
    Row,
    per_second,
    quantile,
    quantiles,
)

CACHED = "warmroute_cached_tokens_total"
PREDICTED = "warmroute_predicted_cached_tokens_total"
REPORTED = "warmroute_reported_prompt_tokens_total"
OVERPREDICTED = "warmroute_overpredicted_tokens_total"
PREFILL = "warmroute_shadow_prefill_seconds_total"
SERVED = f'{MODEL},policy="served"'
SHADOWS = f'{MODEL},policy!="served"'
HEALTHY = f"count(min by (worker) (warmroute_worker_healthy{{{WORKER}}}) == 1) or vector(0)"
RATE = f"warmroute_worker_prefill_tokens_per_second{{{WORKER}}}"


def over_time_shown(metric: str, selector: str = WORKER) -> str:
    return f"sum(increase({metric}{{{selector}}}[$__range]))"


def share(part: str, whole: str, by: str = "") -> str:
    return f"{per_second(part, WORKER, by)} / {per_second(whole, WORKER, by)}"


def waited(q: float, reason: str) -> Query:
    """How long those prompts waited that had to, for this reason."""
    selector = f'{ROUTER},reason="{reason}"'
    return Query(f"{quantile(q, 'warmroute_queue_wait_seconds', selector)} or vector(0)", f"p{q * 100:g} {reason}")


def stat(title: str, help: str, expr: str, unit: str) -> Panel:
    return Panel(title, help, (Query(expr),), unit, kind="stat", width=4, height=4)


SUMMARY = (
    replace(
        stat(
            "Requests failed",
            "Requests that ended as a failure of the service, as a share of all. A client that leaves, or asks for "
            "something wrong, does not count.",
            f"(sum(increase(warmroute_requests_total{{{ROUTER},{FAILED}}}[$__range])) or vector(0))"
            f" / {over_time_shown('warmroute_requests_total', ROUTER)}",
            "percentunit",
        ),
        warn_above=0.01,
    ),
    replace(
        stat(
            "Workers healthy",
            "Workers that every router finds healthy.",
            HEALTHY,
            "none",
        ),
        warn_below=1,
    ),
    replace(
        stat(
            "Waiting in the router",
            "Prompts for which every worker is saturated, or no worker's memory has room. If it stays above 0, add "
            "workers.",
            f"sum(warmroute_queue_depth{{{ROUTER}}})",
            "none",
        ),
        warn_above=1,
    ),
    replace(
        stat(
            "Predictions that did not come",
            "The share of predicted tokens that were not cached. If it is above a few per cent, workers forget sooner "
            "than the router believes.",
            f"{over_time_shown(OVERPREDICTED)} / {over_time_shown(PREDICTED)}",
            "percentunit",
        ),
        warn_above=0.1,
    ),
    replace(
        stat(
            "Prompt tokens from cache",
            "The share of prompt tokens that the engines had in their KV caches, of the requests that report it. "
            "Compare it with the share behind an ordinary balancer.",
            f"{over_time_shown(CACHED)} / {over_time_shown(REPORTED)}",
            "percentunit",
        ),
        warn_below=0.3,
    ),
    stat(
        "Prefill saved",
        "Time that the workers would have taken to compute the cached tokens, at each worker's measured rate.",
        f"sum(increase({CACHED}{{{WORKER}}}[$__range]) / {RATE})",
        "s",
    ),
)

WORTH = Row(
    "Is it working, is it right, what does it save?",
    (
        *SUMMARY,
        Panel(
            "Requests by outcome",
            "See docs/metrics.md for the words.",
            (Query(per_second("warmroute_requests_total", MODEL, "outcome"), "{{outcome}}"),),
            "reqps",
            stacked=True,
        ),
        Panel(
            "Healthy, draining, breaker open",
            "Workers by state, as the router sees them that finds the fewest healthy.",
            (
                Query(HEALTHY, "healthy"),
                Query(f"count(max by (worker) (warmroute_worker_draining{{{WORKER}}}) == 1) or vector(0)", "draining"),
                Query(
                    f"count(max by (worker) (warmroute_worker_breaker_open{{{WORKER}}}) == 1) or vector(0)",
                    "breaker open",
                ),
                Query(f"count(count by (worker) (warmroute_worker_healthy{{{WORKER}}}))", "all"),
            ),
            "none",
        ),
        Panel(
            "Who waits in the router",
            "all: every worker is saturated, or no worker's memory has room. for room: turns of sessions for which no "
            "worker's memory has room. If they stay above 0, add workers or memory.",
            (
                Query(f"sum(warmroute_queue_depth{{{ROUTER}}})", "all"),
                Query(f"sum by (model) (warmroute_session_turns_waiting{{{ROUTER}}})", "for room, {{model}}"),
            ),
        ),
        Panel(
            "Prompt tokens",
            "Tokens that the engines received, that they had cached, and that the router had predicted. Cached above "
            "predicted is usual: generated answers are cached too and are not predicted.",
            (
                Query(per_second(REPORTED, WORKER), "prompt"),
                Query(per_second(CACHED, WORKER), "really cached"),
                Query(per_second(PREDICTED, WORKER), "predicted"),
            ),
            "si:tok/s",
            width=6,
        ),
        Panel(
            "Hit rate, real and predicted",
            "The two lines should be close together. If both fall, see the reasons below. If there is a gap, see "
            "docs/troubleshooting.md.",
            (
                Query(share(CACHED, REPORTED), "really cached"),
                Query(share(PREDICTED, REPORTED), "predicted"),
                Query(share(OVERPREDICTED, PREDICTED), "predicted, did not come"),
            ),
            "percentunit",
            width=6,
            most=1,
        ),
        Panel(
            "Hit rate, as served and under other policies",
            "The share of prompt tokens that each policy of the setting shadow would have found cached, beside what "
            "was served. Empty without that setting.",
            (
                Query(
                    f"{per_second('warmroute_shadow_cached_tokens_total', MODEL, 'policy')} / ignoring(policy) "
                    f"group_left() {per_second('warmroute_shadow_prompt_tokens_total', MODEL)}",
                    "{{policy}}",
                ),
            ),
            "percentunit",
            width=6,
            most=1,
        ),
        Panel(
            "Workers saved",
            "Seconds of prefill saved each second: this many workers would be busy with nothing but prompts that were "
            "computed before. no cache: against workers that keep nothing. The others: against each policy of the "
            "setting shadow, which caches too. Below 0 that policy would have computed less.",
            (
                Query(f"sum(rate({CACHED}{{{WORKER}}}[{STEP}]) / {RATE})", "against no cache"),
                Query(
                    f"{per_second(PREFILL, SHADOWS, 'policy')} - ignoring(policy) group_left() "
                    f"{per_second(PREFILL, SERVED)}",
                    "against {{policy}}",
                ),
            ),
            "none",
            width=6,
            least=None,
        ),
    ),
)

LATENCY = Row(
    "Latency",
    (
        Panel(
            "Time to first token",
            "From the last byte of the request to the first byte of the answer; without streaming, the whole answer.",
            quantiles("warmroute_ttft_seconds", MODEL, 0.5, 0.9, 0.99),
            "s",
            width=12,
        ),
        Panel(
            "Wait in the router",
            "Of the turns that had to wait, by what was missing: room in a worker's memory, or a worker that is not "
            "saturated. 0 if none had to. Waits for room end at session_wait_s.",
            (
                waited(0.5, "memory"),
                waited(0.99, "memory"),
                waited(0.99, "saturated"),
                Query(f"max(warmroute_session_wait_bound_seconds{{{ROUTER}}})", "session_wait_s"),
            ),
            "s",
            width=12,
        ),
        Panel(
            "Between two chunks",
            "Inter-token latency of streams, as the router passes them on.",
            quantiles("warmroute_inter_token_latency_seconds", MODEL, 0.5, 0.99),
            "s",
        ),
        Panel(
            "The router's own part",
            "From the last byte in to the first byte out towards the worker. It is a few milliseconds at most. Above "
            "that the process is out of CPU, or new prompts wait for their tokens. lookup: one match of the prefix "
            "index.",
            (
                *quantiles("warmroute_overhead_seconds", ROUTER, 0.5, 0.99),
                Query(quantile(0.99, "warmroute_index_match_seconds", ROUTER), "p99 lookup"),
            ),
            "s",
        ),
        Panel(
            "Whole requests",
            "From the request's headers to its last byte.",
            quantiles("warmroute_request_duration_seconds", ROUTER, 0.5, 0.99),
            "s",
        ),
    ),
)
