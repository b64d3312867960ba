"""The rows about others: clients and their limits, Redis and the other routers, where workers are found."""

from docker.grafana.insides import each_router, rate_each_router
from docker.grafana.panels import ROUTER, STEP, Panel, Query, Row, per_second, quantiles


def by(metric: str, label: str, legend: str = "", seconds: str = STEP) -> tuple[Query, ...]:
    """A counter's rate by one label, and a line for all of them, which is there when nothing has been counted yet."""
    return (
        Query(f"sum by ({label}) (rate({metric}{{{ROUTER}}}[{seconds}]))", legend or f"{{{{{label}}}}}"),
        Query(f"sum(rate({metric}{{{ROUTER}}}[{seconds}])) or vector(0)", "all"),
    )


CLIENTS = Row(
    "Clients and saturation",
    (
        Panel("Requests by client", "The label of the key.", by("warmroute_client_requests_total", "client"), "reqps"),
        Panel(
            "Uncached prompt tokens by client",
            "What costs prefill, and what limits count.",
            by("warmroute_client_uncached_tokens_total", "client"),
            "si:tok/s",
        ),
        Panel(
            "Refused for who asked",
            "requests, tokens, concurrency: a limit of the client's own. queue_timeout, queue_full: the fleet.",
            by("warmroute_client_refusals_total", "client, reason", "{{client}} {{reason}}"),
            "reqps",
        ),
        Panel(
            "Waiting in the router",
            "Prompts for which every worker is saturated. Above 0 for long: more workers.",
            each_router("warmroute_queue_depth"),
        ),
        Panel(
            "How long they waited",
            "p50 and p99 of those that had to wait; empty when none had to.",
            tuple(
                Query(
                    f"histogram_quantile({q}, sum by (le) (rate(warmroute_queue_wait_seconds_bucket{{{ROUTER}}}"
                    f"[{STEP}]))) or vector(0)",
                    f"p{q * 100:g}",
                )
                for q in (0.5, 0.99)
            ),
            "s",
        ),
        Panel(
            "Prompt and generated tokens",
            "Over all clients, as engines report them.",
            (
                Query(per_second("warmroute_client_prompt_tokens_total", ROUTER), "prompt"),
                Query(per_second("warmroute_client_completion_tokens_total", ROUTER), "generated"),
            ),
            "si:tok/s",
        ),
        Panel(
            "Keys file",
            "broken is 1 while the file as it is cannot be used and the keys of before count.",
            (
                Query(f"max(warmroute_keys_file_broken{{{ROUTER}}})", "broken"),
                Query(f"sum(increase(warmroute_keys_file_reloads_total{{{ROUTER}}}[{STEP}]))", "read again"),
            ),
            "none",
        ),
    ),
    folded=True,
)

REDIS = Row(
    "Redis and the other routers",
    (
        Panel("Connected, and quick enough", "1 is well.", each_router("warmroute_redis_up"), "none", most=1),
        Panel(
            "Round trip",
            "Requests wait for it up to redis_timeout_ms.",
            quantiles("warmroute_redis_round_trip_seconds", ROUTER, 0.5, 0.99),
            "s",
        ),
        Panel(
            "Commands by how they ended",
            "See docs/metrics.md for the words.",
            by("warmroute_redis_calls_total", "outcome"),
            "ops",
        ),
        Panel(
            "Lookups without Redis",
            "Answered from the router's own tree, by reason.",
            by("warmroute_index_fallbacks_total", "reason"),
            "reqps",
        ),
        Panel(
            "Conversations asked about",
            "Other routers were asked what they know of a prompt that is new here. wrong must be 0.",
            by("warmroute_conversations_recalled_total", "result"),
            "ops",
        ),
        Panel("Memory", "Of the Redis server.", each_router("warmroute_redis_memory_bytes"), "bytes"),
        Panel(
            "Waiting to be written",
            "Records of prefixes.",
            each_router("warmroute_index_queued"),
        ),
        Panel(
            "Written again",
            "Chains that Redis had lost.",
            rate_each_router("warmroute_index_told_total"),
        ),
        Panel(
            "Late, slow, gone",
            "Replies that came too late, times that requests stopped waiting, connections that failed or were made.",
            (
                Query(per_second("warmroute_redis_late_replies_total", ROUTER), "late replies"),
                Query(per_second("warmroute_redis_breaker_opened_total", ROUTER), "breaker opened"),
                Query(per_second("warmroute_redis_connect_failures_total", ROUTER), "connections failed"),
                Query(per_second("warmroute_redis_connections_total", ROUTER), "connections made"),
            ),
            "ops",
        ),
        Panel(
            "Routers that share",
            "As each sees it. secret differs must be 0: else routers share nothing.",
            (
                *each_router("warmroute_routers"),
                Query(f"max(warmroute_redis_secret_differs{{{ROUTER}}})", "secret differs"),
            ),
            "none",
        ),
        Panel(
            "Decisions on workers, read",
            "Entries of the shared registry. All but accepted are refused: forged is somebody else's hand.",
            by("warmroute_registry_entries_total", "outcome"),
            "ops",
        ),
        Panel(
            "Values refused",
            "Read from Redis, and nothing that a router wrote. Must be 0: else it is somebody else's hand.",
            by("warmroute_redis_values_refused_total", "kind"),
            "ops",
        ),
    ),
    folded=True,
)

DISCOVERY = Row(
    "Where workers are found",
    (
        Panel(
            "Workers by source",
            "As the source named them last; leaving are those that no source names any more.",
            (
                Query(f"max by (source) (warmroute_discovered_workers{{{ROUTER}}})", "{{source}}"),
                Query(f"max(warmroute_workers_leaving{{{ROUTER}}})", "leaving"),
            ),
            "none",
        ),
        Panel(
            "Since a source last answered",
            "While it grows the last set stays, and new workers are not found.",
            (Query(f"max by (source) (warmroute_discovery_age_seconds{{{ROUTER}}})", "{{source}}"),),
            "s",
        ),
        Panel(
            "Not allowed, or not answered",
            "Workers that worker_allow refuses, and times that a source could not be read.",
            (
                Query(f"max by (source) (warmroute_discovery_refused_workers{{{ROUTER}}})", "not allowed {{source}}"),
                Query(
                    f"sum by (source, result) (rate(warmroute_discovery_updates_total{{{ROUTER}}}[{STEP}]))",
                    "{{result}}/s {{source}}",
                ),
            ),
            "none",
        ),
    ),
    folded=True,
)
