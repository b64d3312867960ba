"""The rows that answer: is it worth it, is it true, how fast is it."""

from dataclasses import replace

from docker.grafana.panels import FAILED, MODEL, ROUTER, STEP, WORKER, Panel, Query, Row, per_second, quantiles

CACHED = "warmroute_cached_tokens_total"
PREDICTED = "warmroute_predicted_cached_tokens_total"
REPORTED = "warmroute_reported_prompt_tokens_total"
OVERPREDICTED = "warmroute_overpredicted_tokens_total"
RATE = f"warmroute_worker_prefill_tokens_per_second{{{WORKER}}}"


def over_time_shown(metric: str, selector: str = WORKER) -> str:
    return f"sum(increase({metric}{{{selector}}}[$__range]))"


def share(part: str, whole: str, by: str = "") -> str:
    return f"{per_second(part, WORKER, by)} / {per_second(whole, WORKER, by)}"


def stat(title: str, help: str, expr: str, unit: str) -> Panel:
    return Panel(title, help, (Query(expr),), unit, kind="stat", width=4, height=4)


SUMMARY = (
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
            f"count(min by (worker) (warmroute_worker_healthy{{{WORKER}}}) == 1) or vector(0)",
            "none",
        ),
        warn_below=1,
    ),
    stat(
        "Requests",
        "Requests that ended, each second.",
        per_second("warmroute_requests_total", ROUTER),
        "reqps",
    ),
)

WORTH = Row(
    "Is it worth it, and is it true?",
    (
        *SUMMARY,
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
            most=1,
        ),
        Panel(
            "Workers kept free",
            "Seconds of prefill saved each second: this many workers would be busy with nothing but prompts that were "
            "computed before.",
            (Query(f"sum(rate({CACHED}{{{WORKER}}}[{STEP}]) / {RATE})", "workers"),),
            "none",
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
            width=12,
            most=1,
        ),
        Panel(
            "Workers busy with prefill, as served and under other policies",
            "Seconds of prefill each second. What lies between a policy and what was served is the number of workers "
            "that placement saves against it. Empty without the setting shadow.",
            (Query(per_second("warmroute_shadow_prefill_seconds_total", MODEL, "policy"), "{{policy}}"),),
            "none",
            width=12,
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
        ),
        Panel(
            "Time to first token, all requests",
            "It usually has two bands: hits below, misses above.",
            (Query(f"sum by (le) (rate(warmroute_ttft_seconds_bucket{{{MODEL}}}[{STEP}]))", "{{le}}"),),
            "s",
            kind="heatmap",
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
            "that the process is out of CPU, or new prompts wait for their tokens.",
            quantiles("warmroute_overhead_seconds", ROUTER, 0.5, 0.99),
            "s",
        ),
        Panel(
            "Index lookup",
            "One match of the prefix index.",
            quantiles("warmroute_index_match_seconds", ROUTER, 0.5, 0.99),
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
