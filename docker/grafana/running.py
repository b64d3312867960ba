"""The rows that say what happens where: workers, decisions, failures."""

from docker.grafana.panels import FAILED, MODEL, ROUTER, STEP, WORKER, Panel, Query, Row, per_second
from docker.grafana.worth import CACHED, OVERPREDICTED, PREDICTED, REPORTED, share


def each_worker(metric: str, over: str = "sum") -> tuple[Query, ...]:
    """A gauge by worker. What routers count themselves is summed over them; what engines say is the same in each."""
    return (Query(f"{over} by (worker) ({metric}{{{WORKER}}})", "{{worker}}"),)


IN_FLIGHT = f"sum by (worker) (warmroute_worker_in_flight{{{WORKER}}})"

WORKERS = Row(
    "Workers",
    (
        Panel(
            "Requests in flight",
            "Counted by leases, over all routers.",
            each_worker("warmroute_worker_in_flight"),
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
            "As the engines report. Near 1 they preempt running requests and evict prefixes early.",
            each_worker("warmroute_worker_kv_usage_ratio", "max"),
            "percentunit",
            most=1,
        ),
        Panel(
            "KV memory believed to be kept",
            "Tokens. It falls below the engine's own figure where prefixes are evicted sooner than they should be.",
            each_worker("warmroute_worker_kv_kept_tokens", "min"),
        ),
        Panel(
            "Workers with an alarm",
            "By kind: caching off, predicted hits that never come, KV events that do not fit or have stopped.",
            (Query(f"sum by (kind) (max by (worker, kind) (warmroute_worker_alarm{{{WORKER}}}))", "{{kind}}"),),
        ),
        Panel(
            "KV events",
            "By kind. missed, malformed, block_size and full mean that predictions are simulated for a time.",
            (Query(per_second("warmroute_kv_events_total", ROUTER, "kind"), "{{kind}}"),),
            "ops",
        ),
        Panel(
            "Workers whose blocks are all known",
            "1 while everything since the engine's start was heard.",
            each_worker("warmroute_kv_events_complete", "max"),
            most=1,
        ),
        Panel(
            "Engine blocks known",
            "By the process that listens. A token takes 20 bytes of its memory with blocks of 16 tokens.",
            each_worker("warmroute_kv_events_blocks", "max"),
        ),
        Panel(
            "Hit rate by worker",
            "If one worker is far below the others, it restarted, other clients use it, or its prefix caching is off.",
            (Query(share(CACHED, REPORTED, "worker"), "{{worker}}"),),
            "percentunit",
            most=1,
        ),
        Panel(
            "Spread",
            "The busiest worker's requests in flight over the mean; 1 is even. If it stays high while workers are "
            "free, the policy prefers caches to load: see the reasons.",
            (Query(f"max({IN_FLIGHT}) / clamp_min(avg({IN_FLIGHT}), 1)", "busiest / mean"),),
            "none",
        ),
        Panel(
            "Healthy, draining, breaker open",
            "Workers by state, as the router sees them that finds the fewest healthy.",
            (
                Query(f"count(min by (worker) (warmroute_worker_healthy{{{WORKER}}}) == 1) or vector(0)", "healthy"),
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
            "Prefill rate",
            "The rate that decisions use: the setting prefill_rate at first, then the rate from the engines' own sums.",
            each_worker("warmroute_worker_prefill_tokens_per_second", "avg"),
            "si:tok/s",
        ),
        Panel(
            "Restarts and lost caches",
            "Engine restarts that the router noticed, and predicted hits that did not come at all. A restart, or "
            "three such misses, make it forget that worker's cache.",
            (
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
            "Prompt tokens by worker",
            "Prompt tokens that each worker was sent.",
            (Query(per_second("warmroute_prompt_tokens_total", WORKER, "worker"), "{{worker}}"),),
            "si:tok/s",
            stacked=True,
        ),
        Panel(
            "Decisions without exact tokens",
            "encoding: the tokens of a new prompt came too late. text: there are no exact tokens for the prompt.",
            (
                Query(f"sum(rate(warmroute_degraded_total{{{ROUTER}}}[{STEP}])) or vector(0)", "degraded"),
                Query(per_second("warmroute_decisions_total", ROUTER), "all"),
            ),
            "reqps",
        ),
        Panel(
            "Predicted, did not come, by worker",
            "If one worker is far above the others, it forgets sooner than the router believes: its KV capacity is "
            "unknown, or other clients use it.",
            (Query(share(OVERPREDICTED, PREDICTED, "worker"), "{{worker}}"),),
            "percentunit",
        ),
        Panel(
            "Answers that do not say what was cached",
            "Predictions cannot be checked for them. vLLM: --enable-prompt-tokens-details. SGLang: "
            "--enable-cache-report.",
            (Query(f"sum(rate(warmroute_reports_missing_total{{{WORKER}}}[{STEP}])) or vector(0)", "no report"),),
            "reqps",
        ),
    ),
)

FAILURES = Row(
    "Errors, retries, breakers",
    (
        Panel(
            "Requests by outcome",
            "See docs/metrics.md for the words.",
            (Query(per_second("warmroute_requests_total", MODEL, "outcome"), "{{outcome}}"),),
            "reqps",
            stacked=True,
        ),
        Panel(
            "Failed, as a share",
            "Failures of the service only.",
            (
                Query(
                    f"(sum(rate(warmroute_requests_total{{{MODEL},{FAILED}}}[{STEP}])) or vector(0))"
                    f" / {per_second('warmroute_requests_total', MODEL)}",
                    "failed",
                ),
            ),
            "percentunit",
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
        Panel(
            "Failed, by worker",
            "The worker that was tried last.",
            (Query(f"sum by (worker) (rate(warmroute_requests_total{{{WORKER},{FAILED}}}[{STEP}]))", "{{worker}}"),),
            "reqps",
        ),
        Panel(
            "Set aside",
            "1 while a worker's breaker is not closed.",
            each_worker("warmroute_worker_breaker_open", "max"),
            "none",
        ),
    ),
)
