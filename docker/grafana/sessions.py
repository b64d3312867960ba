"""The row that says which sessions fit into the workers' memory, and who waits."""

from docker.grafana.panels import ROUTER, STEP, WORKER, Panel, Query, Row, per_second
from docker.grafana.running import each_worker


def of_model(metric: str, by: str = "model", legend: str = "{{model}}", over: str = "max") -> tuple[Query, ...]:
    return (Query(f"{over} by ({by}) ({metric}{{{ROUTER}}})", legend),)


WAITED = f'rate(warmroute_queue_wait_seconds_bucket{{{ROUTER},reason="memory"}}[{STEP}])'

SESSIONS = Row(
    "Sessions and the workers' memory",
    (
        Panel(
            "Memory needed, as a share of the room",
            "KV tokens that the sessions inside need together, over what they may need. Near 1 others wait.",
            (
                Query(
                    f"max by (worker) (warmroute_session_tokens{{{WORKER}}})"
                    f" / max by (worker) (warmroute_session_room_tokens{{{WORKER}}})",
                    "{{worker}}",
                ),
            ),
            "percentunit",
        ),
        Panel(
            "Turns that wait for room",
            "They wait in the router while no worker's memory has room. If it stays above 0, add workers or memory.",
            of_model("warmroute_session_turns_waiting", over="sum"),
        ),
        Panel(
            "Wait for room",
            "p50 and p90 of the turns that had to wait, beside session_wait_s.",
            (
                *(
                    Query(f"histogram_quantile({q}, sum by (le) ({WAITED})) or vector(0)", f"p{q * 100:g}")
                    for q in (0.5, 0.9)
                ),
                Query(f"max(warmroute_session_wait_bound_seconds{{{ROUTER}}})", "session_wait_s"),
            ),
            "s",
        ),
        Panel(
            "Places given up",
            "lease: the session did not return in time. rotation: others had waited for long. outgrown: another "
            "session at the worker had grown. refused: new sessions answered 503.",
            (
                Query(per_second("warmroute_session_places_ended_total", ROUTER, "reason"), "{{reason}}"),
                Query(per_second("warmroute_sessions_refused_total", ROUTER), "refused"),
            ),
            "ops",
        ),
        Panel(
            "Recomputed of what was kept",
            "By sessions that kept their place. Above 10 % fewer sessions are let in.",
            each_worker("warmroute_session_recomputed_ratio", "max"),
            "percentunit",
            most=1,
        ),
        Panel(
            "Share of the memory that sessions may need",
            "It falls where sessions recompute what was kept for them, and rises where they do not and others wait.",
            each_worker("warmroute_session_margin_ratio", "min"),
            "percentunit",
            most=1,
        ),
        Panel(
            "Sessions inside",
            "Sessions whose memory is kept for them.",
            each_worker("warmroute_sessions_inside", "max"),
        ),
        Panel(
            "T* and leases",
            "T*: the time in which a worker recomputes its whole memory. Memory is kept after a turn for the lease.",
            (
                *of_model("warmroute_session_tstar_seconds", legend="T* {{model}}"),
                *of_model("warmroute_session_lease_seconds", "model, ending", "{{ending}} {{model}}"),
            ),
            "s",
        ),
        Panel(
            "Sessions wait that do not fit",
            "1: they wait. 0: all go at once, because waiting gains nothing, or several routers serve the workers.",
            of_model("warmroute_session_holds_back"),
            "none",
            most=1,
        ),
        Panel(
            "Sessions remembered",
            "At 100,000 the one that was idle for longest is forgotten. Ids dropped: what clients called a session "
            "and is no id, each minute.",
            (
                Query(f"max(warmroute_sessions_known{{{ROUTER}}})", "sessions"),
                Query(f"60 * sum(rate(warmroute_session_ids_dropped_total{{{ROUTER}}}[{STEP}]))", "ids dropped"),
            ),
        ),
        Panel(
            "Room that is asked for among routers",
            "no: another router had taken room, so it was looked for again. unsure: Redis did not answer in time.",
            (Query(per_second("warmroute_session_room_asked_total", ROUTER, "outcome"), "{{outcome}}"),),
            "ops",
        ),
    ),
    folded=True,
)
