"""The rows that say what happens where: workers, decisions, failures."""

from docker.grafana.panels import FAILED, ROUTER, STEP, WORKER, Panel, Query, Row, per_second
from docker.grafana.worth import CACHED, OVERPREDICTED, PREDICTED, REPORTED, share


def each_worker(metric: str, over: str = "sum") -> tuple[Query, ...]:
    """A gauge by worker. What routers count themselves is summed over them; what engines say is the same in each."""
    return (Query(f"{over} by (worker) ({metric}{{{WORKER}}})", "{{worker}}"),)


IN_FLIGHT = f"sum by (worker) (warmroute_worker_in_flight{{{WORKER}}})"

WORKERS = Row(
    "Workers",
    (
        Panel(
            "What is wrong with a worker",
            "1 while a breaker is open, or an alarm is raised: caching off, predicted hits that never come, KV events "
            "that do not fit or have stopped. restart: of an engine. no hit: a predicted hit that did not come at all; "
            "a restart, or three of these, make the router forget that worker's cache.",
            (
                Query(f"max by (worker) (warmroute_worker_breaker_open{{{WORKER}}})", "breaker open {{worker}}"),
                Query(f"max by (worker, kind) (warmroute_worker_alarm{{{WORKER}}})", "{{kind}} {{worker}}"),
                Query(
                    f"sum by (worker) (increase(warmroute_worker_restarts_total{{{WORKER}}}[{STEP}]))",
                    "restart {{worker}}",
                ),
                Query(
                    f"sum by (worker) (increase(warmroute_zero_hits_total{{{WORKER}}}[{STEP}]))", "no hit {{worker}}"
                ),
            ),
            "none",
        ),
        Panel(
            "Requests in flight, by worker",
            "Counted by leases, over all routers.",
            each_worker("warmroute_worker_in_flight"),
        ),
        Panel(
            "Spread",
            "The busiest worker's requests in flight over the mean; 1 is even. If it stays high while workers are "
            "free, the policy prefers caches to load: see the reasons.",
            (Query(f"max({IN_FLIGHT}) / clamp_min(avg({IN_FLIGHT}), 1)", "busiest / mean"),),
            "none",
        ),
        Panel(
            "Prompt tokens still to be prefilled",
            "Uncached tokens of requests whose first byte has not come: the queue that decisions weigh.",
            each_worker("warmroute_worker_queued_tokens"),
        ),
        Panel(
            "Requests waiting in the engine",
            "As the engines report. If it stays above 0 everywhere, there are too few workers.",
            each_worker("warmroute_worker_engine_waiting", "max"),
        ),
        Panel(
            "KV cache in use",
            "As the engines report. Near 1 they preempt running requests and evict prefixes early. kept: the share "
            "that is believed to be kept for prefixes. It falls below 1 where they are evicted sooner than they "
            "should be.",
            (
                *each_worker("warmroute_worker_kv_usage_ratio", "max"),
                Query(
                    f"min by (worker) (warmroute_worker_kv_kept_tokens{{{WORKER}}})"
                    f" / (max by (worker) (warmroute_worker_kv_capacity_tokens{{{WORKER}}}) > 0)",
                    "kept {{worker}}",
                ),
            ),
            "percentunit",
            most=1,
        ),
        Panel(
            "Hit rate by worker",
            "If one worker is far below the others, it restarted, other clients use it, or its prefix caching is off.",
            (Query(share(CACHED, REPORTED, "worker"), "{{worker}}"),),
            "percentunit",
            width=6,
            most=1,
        ),
        Panel(
            "Predicted, did not come, by worker",
            "If one worker is far above the others, it forgets sooner than the router believes: its KV capacity is "
            "unknown, or other clients use it.",
            (Query(share(OVERPREDICTED, PREDICTED, "worker"), "{{worker}}"),),
            "percentunit",
            width=6,
        ),
        Panel(
            "Prefill rate",
            "The rate that decisions use: the setting prefill_rate at first, then the rate from the engines' own sums.",
            each_worker("warmroute_worker_prefill_tokens_per_second", "avg"),
            "si:tok/s",
            width=6,
        ),
        Panel(
            "KV events",
            "Each second, by kind. missed, malformed, block_size and full mean that predictions are simulated for a "
            "time. all known: workers of which everything since the engine's start was heard.",
            (
                Query(per_second("warmroute_kv_events_total", ROUTER, "kind"), "{{kind}}"),
                Query(f"sum(max by (worker) (warmroute_kv_events_complete{{{WORKER}}}))", "all known"),
            ),
            "none",
            width=6,
        ),
    ),
)

DECISIONS = Row(
    "Decisions",
    (
        Panel(
            "Why a worker was chosen",
            "expected_ttft says: cached, it is the deepest holder; spilled, a deeper holder would have been slower; "
            "cold, no worker holds any of the prompt.",
            (Query(per_second("warmroute_decisions_total", ROUTER, "reason"), "{{reason}}"),),
            "reqps",
            stacked=True,
        ),
        Panel(
            "How tokens were known",
            "conversation, ids, encoded and worker are exact. estimate: the new part was estimated from its bytes. "
            "text: prefixes are compared as text.",
            (Query(per_second("warmroute_prompts_total", ROUTER, "source"), "{{source}}"),),
            "reqps",
            stacked=True,
        ),
        Panel(
            "Not exact, or not checked",
            "not exact: decided without exact tokens. no report: the answer does not say what was cached (vLLM: "
            "--enable-prompt-tokens-details, SGLang: --enable-cache-report). other length: must stay 0, otherwise "
            "tokenizer is not the model's own, or the worker overrides the chat template.",
            (
                Query(f"sum(rate(warmroute_degraded_total{{{ROUTER}}}[{STEP}])) or vector(0)", "not exact"),
                Query(f"sum(rate(warmroute_reports_missing_total{{{WORKER}}}[{STEP}])) or vector(0)", "no report"),
                Query(
                    f"sum(rate(warmroute_prompt_token_mismatches_total{{{ROUTER}}}[{STEP}])) or vector(0)",
                    "other length",
                ),
            ),
            "reqps",
        ),
    ),
)

FAILURES = Row(
    "Errors and retries",
    (
        Panel(
            "Failed, by worker",
            "The worker that was tried last.",
            (Query(f"sum by (worker) (rate(warmroute_requests_total{{{WORKER},{FAILED}}}[{STEP}]))", "{{worker}}"),),
            "reqps",
        ),
        Panel(
            "Retries by cause",
            "Attempts repeated before the first byte. Clients noticed nothing.",
            (
                Query(per_second("warmroute_retries_total", ROUTER, "cause"), "{{cause}}"),
                Query(f"sum(rate(warmroute_retries_total{{{ROUTER}}}[{STEP}])) or vector(0)", "all"),
            ),
            "reqps",
        ),
        Panel(
            "Refused by the router",
            "By status: 401 keys, 413 and 431 size, 408 slow uploads, 429 limits, 503 and 529 no room or no worker.",
            (Query(per_second("warmroute_refused_requests_total", ROUTER, "status"), "{{status}}"),),
            "reqps",
            stacked=True,
        ),
    ),
)
