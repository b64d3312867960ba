"""The rows about the router itself: index, tokens, process."""

from docker.grafana.panels import ROUTER, STEP, WORKER, Panel, Query, Row, per_second, quantiles


def each_router(metric: str) -> tuple[Query, ...]:
    return (Query(f"{metric}{{{ROUTER}}}", "{{instance}}"),)


def rate_each_router(metric: str) -> tuple[Query, ...]:
    return (Query(f"rate({metric}{{{ROUTER}}}[{STEP}])", "{{instance}}"),)


def all_routers(metric: str, legend: str) -> Query:
    """A counter's rate over all routers; 0 while nothing has been counted."""
    return Query(f"sum(rate({metric}{{{ROUTER}}}[{STEP}])) or vector(0)", legend)


INDEX = Row(
    "Prefix index",
    (
        Panel(
            "What is remembered",
            "blocks: each counts once; at index_max_blocks new ones are refused. nodes: of the tree; memory follows "
            "them. engine blocks: known by KV events, 20 bytes a token. sessions: at 100,000 the one that was idle for "
            "longest is forgotten.",
            (
                Query(f"max(warmroute_index_blocks{{{ROUTER}}})", "blocks"),
                Query(f"max(warmroute_index_nodes{{{ROUTER}}})", "nodes"),
                Query(f"max(warmroute_index_pending{{{ROUTER}}})", "prompts being prefilled"),
                Query(f"max(warmroute_index_queued{{{ROUTER}}})", "records waiting for Redis"),
                Query(f"sum(max by (worker) (warmroute_kv_events_blocks{{{WORKER}}}))", "engine blocks"),
                Query(f"max(warmroute_sessions_known{{{ROUTER}}})", "sessions"),
            ),
            width=12,
        ),
        Panel(
            "Refused, forgotten, written again",
            "refused: the index or its queue is full, and new prefixes are not learned. forgotten: the simulated pool "
            "of a worker was full, as the real one is. written again: Redis had lost it. session ids dropped: what "
            "clients called a session and is no id.",
            (
                all_routers("warmroute_index_refused_total", "refused"),
                all_routers("warmroute_index_evicted_total", "forgotten"),
                all_routers("warmroute_index_told_total", "written again"),
                all_routers("warmroute_session_ids_dropped_total", "session ids dropped"),
            ),
            "ops",
            width=12,
        ),
    ),
    folded=True,
)

TOKENS = Row(
    "Tokens",
    (
        Panel(
            "How prompts were parsed and encoded",
            "encoded tail, parsed items: the new messages alone, which is cheap. parsed rest: these and the other "
            "fields; whole: a conversation not known yet.",
            (
                Query(per_second("warmroute_encodings_total", ROUTER, "way"), "encoded {{way}}"),
                Query(per_second("warmroute_bodies_read_total", ROUTER, "part"), "parsed {{part}}"),
            ),
            "reqps",
            width=6,
        ),
        Panel(
            "Prompts that became text",
            "By reason; docs/metrics.md has the words. asked: questions to workers for token ids, for models whose "
            "prompts are made in code. ids sent along: forward_token_ids.",
            (
                Query(per_second("warmroute_inexact_prompts_total", ROUTER, "reason"), "{{reason}}"),
                all_routers("warmroute_inexact_prompts_total", "all"),
                Query(per_second("warmroute_token_asks_total", ROUTER, "outcome"), "asked, {{outcome}}"),
                all_routers("warmroute_token_asks_total", "asked"),
                all_routers("warmroute_forwarded_ids_total", "ids sent along"),
            ),
            "reqps",
            width=6,
        ),
        Panel(
            "Waiting to be encoded",
            "If it stays high, add encode_threads and cores, or routers. loading: tokenizers; until they are loaded, "
            "prompts of their models are text, and if it takes long, the log says why.",
            (
                *each_router("warmroute_encode_backlog"),
                Query(f"rate(warmroute_encode_refused_total{{{ROUTER}}}[{STEP}])", "refused/s {{instance}}"),
                Query(f"warmroute_tokenizers_loading{{{ROUTER}}}", "loading {{instance}}"),
            ),
            width=6,
        ),
        Panel(
            "Conversations known and forgotten",
            "forgotten: their next turn is encoded from the start; raise conversation_cache_bytes. taken over: another "
            "process knew them. recalled: asked of other routers; wrong must be 0. tails given up: a short cut ends; "
            "it costs CPU and no exactness.",
            (
                Query(per_second("warmroute_conversations_evicted_total", ROUTER), "forgotten"),
                Query(per_second("warmroute_conversations_taken_total", ROUTER), "taken over"),
                Query(per_second("warmroute_conversations_recalled_total", ROUTER, "result"), "recalled {{result}}"),
                all_routers("warmroute_conversations_recalled_total", "recalled"),
                Query(per_second("warmroute_tails_verified_total", ROUTER), "tails agreed"),
                Query(per_second("warmroute_tails_failed_total", ROUTER), "tails given up"),
            ),
            "ops",
            width=6,
        ),
    ),
    folded=True,
)

PROCESS = Row(
    "The process",
    (
        Panel(
            "Requests in flight",
            "Uploads included. At max_requests_in_flight new ones are answered 503.",
            each_router("warmroute_requests_in_flight"),
        ),
        Panel(
            "Memory",
            "Resident. Of this, conversations take up to conversation_cache_bytes, and request bodies up to "
            "max_buffered_bytes: then new ones are answered 503. Redis: of its server.",
            (
                *each_router("process_resident_memory_bytes"),
                Query(f"warmroute_buffered_body_bytes{{{ROUTER}}}", "bodies {{instance}}"),
                Query(f"warmroute_conversation_cache_bytes{{{ROUTER}}}", "conversations {{instance}}"),
                Query(f"max(warmroute_redis_memory_bytes{{{ROUTER}}})", "Redis"),
            ),
            "bytes",
        ),
        Panel(
            "CPU",
            "In cores. The event loop uses one, encode_threads may use more.",
            (
                *rate_each_router("process_cpu_seconds_total"),
                Query(f"rate(warmroute_encode_cpu_seconds_total{{{ROUTER}}}[{STEP}])", "tokenizer {{instance}}"),
            ),
            "none",
        ),
        Panel(
            "Lateness of the event loop",
            "Each stall delays all requests at once. longest: since the start.",
            (
                *quantiles("warmroute_loop_lag_seconds", ROUTER, 0.5, 0.99),
                Query(f"max(warmroute_loop_stall_seconds{{{ROUTER}}})", "longest"),
            ),
            "s",
        ),
        Panel(
            "Open files",
            "As a share of the limit. Each running request needs two. At the limit connections fail.",
            (Query(f"process_open_fds{{{ROUTER}}} / process_max_fds{{{ROUTER}}}", "{{instance}}"),),
            "percentunit",
            most=1,
        ),
        Panel(
            "Faults, keys and certificates",
            "tasks restarted: background tasks, after a fault; the log names them. keys broken: 1 while the keys file "
            "cannot be used and the last good keys still count. certificates failed: changed files that could not be "
            "used. log lines dropped: each second, because standard output is too slow; trace lines: because the disk "
            "is. All must be 0.",
            (
                all_routers("warmroute_background_restarts_total", "tasks restarted/s"),
                Query(f"max(warmroute_keys_file_broken{{{ROUTER}}})", "keys broken"),
                Query(f"sum(warmroute_certificates_failed_total{{{ROUTER}}})", "certificates failed"),
                Query(per_second("warmroute_access_lines_dropped_total", ROUTER), "log lines dropped/s"),
                Query(per_second("warmroute_trace_lines_dropped_total", ROUTER), "trace lines dropped/s"),
            ),
            "none",
        ),
    ),
    folded=True,
)
