"""The rows about the router itself: index, tokens, process."""

from docker.grafana.panels import ROUTER, STEP, Panel, Query, Row, per_second, quantiles


def each_router(metric: str) -> tuple[Query, ...]:
    return (Query(f"{metric}{{{ROUTER}}}", "{{instance}}"),)


def rate_each_router(metric: str) -> tuple[Query, ...]:
    return (Query(f"rate({metric}{{{ROUTER}}}[{STEP}])", "{{instance}}"),)


INDEX = Row(
    "Prefix index",
    (
        Panel(
            "Blocks held",
            "Each block counts once. At index_max_blocks new ones are refused.",
            each_router("warmroute_index_blocks"),
        ),
        Panel("Nodes", "Of the tree: memory follows them.", each_router("warmroute_index_nodes")),
        Panel("Prompts being prefilled", "Pending records.", each_router("warmroute_index_pending")),
        Panel(
            "Refused",
            "Records that were not written, because the index or its queue is full. New prefixes are not learned.",
            rate_each_router("warmroute_index_refused_total"),
        ),
        Panel(
            "Forgotten",
            "Blocks that the simulated pool of a worker dropped because it was full, as the real one does.",
            rate_each_router("warmroute_index_evicted_total"),
        ),
    ),
    folded=True,
)

TOKENS = Row(
    "Tokens",
    (
        Panel(
            "How prompts were encoded",
            "tail: the new messages alone, which is cheap.",
            (Query(per_second("warmroute_encodings_total", ROUTER, "way"), "{{way}}"),),
            "reqps",
            stacked=True,
        ),
        Panel(
            "How much of a body was parsed",
            "items: the new messages alone; rest: these and the other fields; whole: a conversation not known yet.",
            (Query(per_second("warmroute_bodies_read_total", ROUTER, "part"), "{{part}}"),),
            "reqps",
            stacked=True,
        ),
        Panel(
            "Tokens asked of workers",
            "Questions to workers for token ids, for models whose prompts are made in code.",
            (
                Query(per_second("warmroute_token_asks_total", ROUTER, "outcome"), "{{outcome}}"),
                Query(f"sum(rate(warmroute_token_asks_total{{{ROUTER}}}[{STEP}])) or vector(0)", "all"),
            ),
            "reqps",
        ),
        Panel(
            "Token ids sent along",
            "Prompts that went out with their ids (forward_token_ids).",
            (
                Query(per_second("warmroute_forwarded_ids_total", ROUTER, "model"), "{{model}}"),
                Query(f"sum(rate(warmroute_forwarded_ids_total{{{ROUTER}}}[{STEP}])) or vector(0)", "all"),
            ),
            "reqps",
        ),
        Panel(
            "Tokenizers still loading",
            "Until they are loaded, prompts of their models are text. If it takes long, the log says why.",
            each_router("warmroute_tokenizers_loading"),
        ),
        Panel(
            "Prompts that became text, by reason",
            "See docs/metrics.md for the reasons.",
            (
                Query(per_second("warmroute_inexact_prompts_total", ROUTER, "reason"), "{{reason}}"),
                Query(f"sum(rate(warmroute_inexact_prompts_total{{{ROUTER}}}[{STEP}])) or vector(0)", "all"),
            ),
            "reqps",
        ),
        Panel(
            "Lengths that differ from the engine's",
            "Must stay 0. Otherwise tokenizer is not the model's own, or the worker overrides the chat template.",
            (
                Query(
                    f"sum(rate(warmroute_prompt_token_mismatches_total{{{ROUTER}}}[{STEP}])) or vector(0)", "mismatches"
                ),
            ),
            "reqps",
        ),
        Panel(
            "CPU within the tokenizer",
            "Cores.",
            rate_each_router("warmroute_encode_cpu_seconds_total"),
            "none",
        ),
        Panel(
            "Characters given to it",
            "Only what is new in conversations is encoded.",
            rate_each_router("warmroute_encoded_bytes_total"),
            "Bps",
        ),
        Panel(
            "Waiting to be encoded",
            "If it stays high, add encode_threads and cores, or routers.",
            (
                *each_router("warmroute_encode_backlog"),
                Query(f"rate(warmroute_encode_refused_total{{{ROUTER}}}[{STEP}])", "refused/s {{instance}}"),
            ),
        ),
        Panel(
            "Memory for conversations",
            "Up to conversation_cache_bytes.",
            each_router("warmroute_conversation_cache_bytes"),
            "bytes",
        ),
        Panel(
            "Conversations forgotten",
            "Their next turn is encoded from the start: raise conversation_cache_bytes. taken over: another process "
            "of the same supervisor knew them.",
            (
                Query(per_second("warmroute_conversations_evicted_total", ROUTER), "forgotten"),
                Query(per_second("warmroute_conversations_taken_total", ROUTER), "taken over"),
            ),
        ),
        Panel(
            "Tails compared with the full rendering",
            "A disagreement ends the short cut for that kind of tail. It costs CPU and no exactness.",
            (
                Query(per_second("warmroute_tails_verified_total", ROUTER), "agreed"),
                Query(per_second("warmroute_tails_failed_total", ROUTER), "given up"),
            ),
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
            "Request bodies held", "503 at max_buffered_bytes.", each_router("warmroute_buffered_body_bytes"), "bytes"
        ),
        Panel(
            "CPU",
            "In cores. The event loop uses one, encode_threads may use more.",
            rate_each_router("process_cpu_seconds_total"),
            "none",
        ),
        Panel("Memory", "Resident.", each_router("process_resident_memory_bytes"), "bytes"),
        Panel(
            "Lateness of the event loop",
            "Each stall delays all requests at once.",
            quantiles("warmroute_loop_lag_seconds", ROUTER, 0.5, 0.99),
            "s",
        ),
        Panel(
            "Longest stall",
            "Of the event loop, since the start.",
            each_router("warmroute_loop_stall_seconds"),
            "s",
        ),
        Panel(
            "Background tasks started again",
            "After a fault; the log has it. Must be 0.",
            (Query(per_second("warmroute_background_restarts_total", ROUTER, "task"), "{{task}}"),),
        ),
        Panel(
            "Open files",
            "As a share of the limit. Each running request needs two. At the limit connections fail.",
            (Query(f"process_open_fds{{{ROUTER}}} / process_max_fds{{{ROUTER}}}", "{{instance}}"),),
            "percentunit",
            most=1,
        ),
        Panel(
            "Up for",
            "Each fall is a restart.",
            (Query(f"time() - process_start_time_seconds{{{ROUTER}}}", "{{instance}}"),),
            "s",
        ),
        Panel(
            "Garbage collections",
            "The oldest generation should hardly ever be collected.",
            (Query(per_second("python_gc_collections_total", ROUTER, "generation"), "generation {{generation}}"),),
        ),
        Panel(
            "TLS certificates",
            "Renewed certificates taken into use, and changed files that could not be used.",
            (
                Query(f"sum(warmroute_certificates_renewed_total{{{ROUTER}}})", "renewed"),
                Query(f"sum(warmroute_certificates_failed_total{{{ROUTER}}})", "failed"),
            ),
            "none",
        ),
        Panel(
            "Access log lines dropped",
            "Lines dropped because standard output is too slow.",
            rate_each_router("warmroute_access_lines_dropped_total"),
        ),
    ),
    folded=True,
)
