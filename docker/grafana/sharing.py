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
            "These tokens cost prefill, and the limits count them.",
            by("warmroute_client_uncached_tokens_total", "client"),
            "si:tok/s",
        ),
        Panel(
            "Refused by client",
            "requests, tokens, concurrency: the client's own limit. queue_timeout, queue_full: the fleet is saturated.",
            by("warmroute_client_refusals_total", "client, reason", "{{client}} {{reason}}"),
            "reqps",
        ),
        Panel(
            "Waiting in the router",
            "Prompts for which every worker is saturated, or no worker's memory has room. If it stays above 0, add "
            "workers.",
            each_router("warmroute_queue_depth"),
        ),
        Panel(
            "Wait in the router",
            "p50 and p99 of the prompts that had to wait; empty if none had to.",
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
            "broken is 1 while the file cannot be used and the last good keys still count.",
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
            "Requests wait for it for at most redis_timeout_ms.",
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
            "Lookups that the router's own tree answered, by reason.",
            by("warmroute_index_fallbacks_total", "reason"),
            "reqps",
        ),
        Panel(
            "Conversations that other routers may know",
            "Questions to other routers about a prompt that is new here. wrong must be 0.",
            by("warmroute_conversations_recalled_total", "result"),
            "ops",
        ),
        Panel("Memory", "Of the Redis server.", each_router("warmroute_redis_memory_bytes"), "bytes"),
        Panel(
            "Waiting to be written",
            "Records of prefixes that wait for Redis.",
            each_router("warmroute_index_queued"),
        ),
        Panel(
            "Written again",
            "Chains that Redis had lost, and that a router wrote again.",
            rate_each_router("warmroute_index_told_total"),
        ),
        Panel(
            "Late, slow, gone",
            "Replies that came too late, breakers that opened, connections that failed or were made.",
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
            "As each router sees it. secret differs must be 0: otherwise routers share nothing.",
            (
                *each_router("warmroute_routers"),
                Query(f"max(warmroute_redis_secret_differs{{{ROUTER}}})", "secret differs"),
            ),
            "none",
        ),
        Panel(
            "Decisions on workers, read",
            "Entries of the shared registry. All outcomes other than accepted are refusals; forged: a stranger wrote "
            "it.",
            by("warmroute_registry_entries_total", "outcome"),
            "ops",
        ),
        Panel(
            "Values refused",
            "Values in Redis that no router of this deployment wrote. Must be 0: otherwise a stranger writes to Redis.",
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
            "Workers that each source named last. leaving: no source names them any more.",
            (
                Query(f"max by (source) (warmroute_discovered_workers{{{ROUTER}}})", "{{source}}"),
                Query(f"max(warmroute_workers_leaving{{{ROUTER}}})", "leaving"),
            ),
            "none",
        ),
        Panel(
            "Since a source last answered",
            "While it grows, the last set stays, and new workers are not found.",
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
