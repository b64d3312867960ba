"""The rows about others: clients and their limits, Redis and the other routers, where workers are found."""

from docker.grafana.insides import all_routers
from docker.grafana.panels import ROUTER, STEP, Panel, Query, Row, per_second, quantiles


def by(metric: str, label: str, legend: str = "") -> tuple[Query, ...]:
    """A counter's rate by one label, and a line for all of them, which is there when nothing has been counted yet."""
    return Query(per_second(metric, ROUTER, label), legend or f"{{{{{label}}}}}"), all_routers(metric, "all")


CLIENTS = Row(
    "Clients",
    (
        Panel(
            "Requests by client",
            "The label of the key. Refused for requests, tokens, concurrency: the client's own limit; for "
            "queue_timeout, queue_full: the fleet is saturated.",
            (
                *by("warmroute_client_requests_total", "client"),
                Query(
                    per_second("warmroute_client_refusals_total", ROUTER, "client, reason"),
                    "{{client}} refused, {{reason}}",
                ),
                all_routers("warmroute_client_refusals_total", "all refused"),
            ),
            "reqps",
            width=12,
        ),
        Panel(
            "Tokens by client",
            "Uncached prompt tokens, which cost prefill, and which the limits count. prompt and generated: of all "
            "clients, as engines report them.",
            (
                *by("warmroute_client_uncached_tokens_total", "client", "{{client}} uncached"),
                Query(per_second("warmroute_client_prompt_tokens_total", ROUTER), "all prompt"),
                Query(per_second("warmroute_client_completion_tokens_total", ROUTER), "all generated"),
            ),
            "si:tok/s",
            width=12,
        ),
    ),
    folded=True,
)

REDIS = Row(
    "Redis and the other routers",
    (
        Panel(
            "Connected, and routers that share",
            "connected: 1 while Redis answers quickly enough. routers: as each router sees them. secret differs must "
            "be 0: otherwise routers share nothing.",
            (
                Query(f"warmroute_redis_up{{{ROUTER}}}", "connected {{instance}}"),
                Query(f"warmroute_routers{{{ROUTER}}}", "routers {{instance}}"),
                Query(f"max(warmroute_redis_secret_differs{{{ROUTER}}})", "secret differs"),
            ),
            "none",
        ),
        Panel(
            "Round trip",
            "Requests wait for it for at most redis_timeout_ms.",
            quantiles("warmroute_redis_round_trip_seconds", ROUTER, 0.5, 0.99),
            "s",
        ),
        Panel(
            "Commands and connections",
            "Commands by how they ended; docs/metrics.md has the words. Replies that came too late, breakers that "
            "opened, connections that failed or were made.",
            (
                *by("warmroute_redis_calls_total", "outcome"),
                Query(per_second("warmroute_redis_late_replies_total", ROUTER), "late replies"),
                Query(per_second("warmroute_redis_breaker_opened_total", ROUTER), "breaker opened"),
                Query(per_second("warmroute_redis_connect_failures_total", ROUTER), "connections failed"),
                Query(per_second("warmroute_redis_connections_total", ROUTER), "connections made"),
            ),
            "ops",
        ),
        Panel(
            "Lookups without Redis",
            "Lookups that the router's own tree answered, by reason.",
            by("warmroute_index_fallbacks_total", "reason"),
            "reqps",
            width=12,
        ),
        Panel(
            "Read from Redis",
            "Decisions on workers that were read: all outcomes other than accepted are refusals; forged: a stranger "
            "wrote it. refused: values that no router of this deployment wrote, by kind. Must be 0: otherwise a "
            "stranger writes to Redis.",
            (
                Query(per_second("warmroute_registry_entries_total", ROUTER, "outcome"), "decision {{outcome}}"),
                all_routers("warmroute_redis_values_refused_total", "refused"),
            ),
            "ops",
            width=12,
        ),
    ),
    folded=True,
)

DISCOVERY = Row(
    "Where workers are found",
    (
        Panel(
            "Workers by source",
            "Workers that each source named last. leaving: no source names them any more. not allowed: worker_allow "
            "refuses them. failed: times that the source could not be read.",
            (
                Query(f"max by (source) (warmroute_discovered_workers{{{ROUTER}}})", "{{source}}"),
                Query(f"max(warmroute_workers_leaving{{{ROUTER}}})", "leaving"),
                Query(f"max by (source) (warmroute_discovery_refused_workers{{{ROUTER}}})", "not allowed {{source}}"),
                Query(
                    f"sum by (source, result) (increase(warmroute_discovery_updates_total{{{ROUTER}}}[{STEP}]))",
                    "{{result}} {{source}}",
                ),
            ),
            "none",
            width=12,
        ),
        Panel(
            "Since a source last answered",
            "While it grows, the last set stays, and new workers are not found.",
            (Query(f"max by (source) (warmroute_discovery_age_seconds{{{ROUTER}}})", "{{source}}"),),
            "s",
            width=12,
        ),
    ),
    folded=True,
)
