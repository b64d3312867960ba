"""The row that says which sessions fit into the workers' memory, and who waits."""

from docker.grafana.panels import ROUTER, WORKER, Panel, Query, Row, per_second
from docker.grafana.running import each_worker


def of_model(metric: str, by: str = "model", legend: str = "{{model}}") -> tuple[Query, ...]:
    return (Query(f"max by ({by}) ({metric}{{{ROUTER}}})", legend),)


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
            "Sessions inside",
            "Sessions whose memory is kept for them. others wait: 1 while those that do not fit wait; 0 while all go "
            "at once, because waiting gains nothing, or several routers serve the workers.",
            (
                *each_worker("warmroute_sessions_inside", "max"),
                *of_model("warmroute_session_holds_back", legend="others wait {{model}}"),
            ),
        ),
        Panel(
            "Places given up, and room asked for",
            "lease: the session did not return in time. rotation: others had waited for long. outgrown: another "
            "session at the worker had grown. refused: new sessions answered 503. room no: another router had taken "
            "it, so it was looked for again; room unsure: Redis did not answer in time.",
            (
                Query(per_second("warmroute_session_places_ended_total", ROUTER, "reason"), "{{reason}}"),
                Query(per_second("warmroute_sessions_refused_total", ROUTER), "refused"),
                Query(per_second("warmroute_session_room_asked_total", ROUTER, "outcome"), "room {{outcome}}"),
            ),
            "ops",
        ),
        Panel(
            "Recomputed of what was kept",
            "By sessions that kept their place. Above 10 % fewer sessions are let in: the share of the memory that "
            "they may need falls. It rises where little is recomputed and others wait.",
            (
                *each_worker("warmroute_session_recomputed_ratio", "max"),
                Query(f"min by (worker) (warmroute_session_margin_ratio{{{WORKER}}})", "may need {{worker}}"),
            ),
            "percentunit",
            width=12,
            most=1,
        ),
        Panel(
            "T* and leases",
            "T*: the time in which a worker recomputes its whole memory. Memory is kept after a turn for the lease.",
            (
                *of_model("warmroute_session_tstar_seconds", legend="T* {{model}}"),
                *of_model("warmroute_session_lease_seconds", "model, ending", "{{ending}} {{model}}"),
            ),
            "s",
            width=12,
        ),
    ),
    folded=True,
)
