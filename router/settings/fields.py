"""`Settings`: every setting with its default, range, unit and explanation, in one place (with `serving.py`).

The text given here is what `warmroute serve --help` and `docs/configuration.md` say. A setting's flag, environment
variable and TOML key all come from its one name, so a name must not change lightly.
"""

import dataclasses
from collections.abc import Mapping

from router.settings import kinds
from router.settings.serving import SECONDS, ServingSettings
from router.settings.setting import Secret, Setting, setting

ROUTING = "Routing"
TOKENS = "Tokens"
SHARED = "Shared by several routers"
ACCESS = "Access"
LIMITS = "Limits"
SATURATION = "Saturation"
TIMES = "Time limits"
FAILURE = "Failures"
LOGS = "Logs"

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ServingSettings):
    """All settings of one router process. `load` checks them; who builds one by hand answers for the values."""

    policy: str = setting(ROUTING, "expected_ttft", kinds.policy(), "The rule that chooses the worker.")
    seed: int | None = setting(
        ROUTING,
        None,
        kinds.whole(0, 2**63 - 1),
        "Seed of all random choices, for runs that must repeat. Unset: drawn at start, so that several routers do not "
        "choose alike.",
    )
    session_header: str = setting(
        ROUTING,
        "x-session-id",
        kinds.header_name(),
        "Request header that names the client's session: what consistent_hash goes by. No other policy reads it.",
    )
    prefill_rate: float = setting(
        ROUTING,
        8000.0,
        kinds.number(1, 1e9, "TOKENS/S"),
        "Uncached prompt tokens per second that a worker is believed to prefill, until its own have been measured.",
    )
    block_tokens: int = setting(
        ROUTING,
        0,
        kinds.blocks(16, 8192),
        "Length of the prefix index's blocks; choose a multiple of the workers' own. 0: its smallest multiple that is "
        "at least 64.",
    )
    index_max_blocks: int = setting(
        ROUTING,
        2_000_000,
        kinds.whole(1_000, 1_000_000_000),
        "Blocks that the prefix index holds at most, each counted once, whoever has it. When it is full, new ones are "
        "not recorded, and that is counted.",
    )
    index_secret: Secret | None = setting(
        ROUTING,
        None,
        kinds.secret(),
        "Key of the block hashes, so that nobody can guess a prompt from them. Unset: drawn at start.",
    )
    default_kv_tokens: int = setting(
        ROUTING,
        500_000,
        kinds.whole(1_000, 10**12, "TOKENS"),
        "KV capacity assumed for a worker that does not report one. Too high predicts cache hits that do not come.",
    )
    host_kv_tokens: int = setting(
        ROUTING,
        0,
        kinds.whole(0, 10**12, "TOKENS"),
        "KV tokens that each worker keeps beside its KV memory, in its host's (vLLM's offloading, LMCache, HiCache), "
        "which no engine reports: so much longer a prefix is believed to be there. Not for a pool that workers share.",
    )
    redis: str = setting(
        SHARED,
        "",
        kinds.redis_url(),
        "Redis or Valkey for what several routers share. With a user, password and database where needed; for Sentinel "
        "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE, for a Cluster redis+cluster://HOST:PORT,HOST:PORT; rediss is "
        "TLS. Needs index_secret, the same on every router. Unset: each router knows only what went through itself.",
    )
    redis_password: Secret | None = setting(
        SHARED, None, kinds.secret(), "Password for Redis, where the URL of redis holds none."
    )
    redis_prefix: str = setting(
        SHARED,
        "warmroute",
        kinds.key_prefix(),
        "What all keys in Redis begin with: one for each deployment. In a Cluster it decides the shard, which holds "
        "all of them.",
    )
    redis_ttl_s: float = setting(
        SHARED,
        6 * 3600,
        kinds.whole(60, 30 * 86400, SECONDS),
        "A prefix that nobody used for so long is forgotten in Redis.",
    )
    redis_max_memory_bytes: int = setting(
        SHARED,
        1 * GIB,
        kinds.size(1 * MIB, 4096 * GIB),
        "Memory of the Redis server beyond which no new prefixes are stored, and that is counted. Its own maxmemory "
        "should be higher, with the policy noeviction.",
    )
    redis_timeout_ms: float = setting(
        SHARED,
        5.0,
        kinds.number(0.5, 1000, "MILLISECONDS"),
        "A request waits no longer for Redis: then it is routed by what this router knows itself.",
    )

    tokenizer: str = setting(
        TOKENS,
        "auto",
        kinds.tokenizer(),
        "Tokenizer of all models: a path, a Hugging Face id, or package:NAME for one shipped in a Python package. "
        "auto: the model path that each worker reports. off: prefixes are compared as text, as they always are for "
        "workers other than vLLM and SGLang.",
    )
    model_tokenizers: Mapping[str, str] = setting(
        TOKENS,
        {},
        kinds.pair(kinds.tokenizer(), "MODEL=TOKENIZER"),
        "Tokenizer of one model, where it is not the one of tokenizer.",
        name="model_tokenizer",
    )
    model_chat_templates: Mapping[str, str] = setting(
        TOKENS,
        {},
        kinds.pair(kinds.file(), "MODEL=FILE"),
        "Chat template of one model, where its workers were started with --chat-template: vLLM does not say so, SGLang "
        "does, but not what is in it.",
        name="model_chat_template",
    )
    model_template_kwargs: Mapping[str, str] = setting(
        TOKENS,
        {},
        kinds.pair(kinds.json_object(), "MODEL=JSON"),
        "Template arguments that one model's workers set where a request does not: vLLM's "
        "--default-chat-template-kwargs, which it does not say. SGLang does; there it need not be given.",
    )
    forward_token_ids: bool = setting(
        TOKENS,
        False,
        kinds.switch(),
        "Send the ids of chat prompts along where they are known exactly and the worker reads them (vLLM from 0.30 on, "
        "SGLang), so that it does not render and tokenize again. Bodies grow by about 7 bytes a token, and "
        "conversation_cache_bytes holds a fraction of the conversations: 4 bytes a token more.",
    )
    ask_workers: bool = setting(
        TOKENS,
        True,
        kinds.switch(),
        "Ask the worker itself for the tokens of prompts that cannot be exact here (its /render or /tokenize), beside "
        "the request and after its dispatch. No: such prompts are compared as text.",
    )
    ask_timeout_s: float = setting(
        TOKENS, 5.0, kinds.number(0.1, 60, SECONDS), "A worker that takes longer to tell tokens is not waited for."
    )
    encode_wait_share: float = setting(
        TOKENS,
        0.1,
        kinds.number(0, 1, "SHARE"),
        "A long prompt of which less than half is known waits for its tokens before the decision, up to this share of "
        "the time that a worker takes to prefill what is unknown: for 36,000 tokens at 8,000 a second 0.45 s, of which "
        "it needs about 0.06. 0: it does not wait. Short ones (6 KiB) are always encoded first.",
    )
    encode_threads: int = setting(TOKENS, 2, kinds.whole(1, 64), "Threads that encode, beside the event loop.")
    conversation_cache_bytes: int = setting(
        TOKENS,
        256 * MIB,
        kinds.size(1 * MIB, 1024 * GIB),
        "Memory of the process for known conversations, whose next turn then costs only what is new in it.",
    )

    api_keys: tuple[Secret, ...] = setting(
        ACCESS,
        (),
        kinds.many(kinds.secret()),
        "Key that a client must send (Authorization: Bearer, or x-api-key). Unset: everyone is served.",
        name="api_key",
    )
    keys_file: str = setting(
        ACCESS,
        "",
        kinds.file(),
        "TOML file of clients: for each label hashes of its keys, limits, models, cache salt; read again when it "
        "changes. See docs/clients.md.",
    )
    extra_paths: tuple[str, ...] = setting(
        ACCESS,
        (),
        kinds.many(kinds.extra_path()),
        "Path of the workers that clients may GET and POST, besides the inference APIs listed in docs/clients.md; all "
        "others are answered 404. Never one that controls the engine. Clients with models, a limit on tokens or a "
        "cache salt of their own are refused there.",
        name="extra_path",
    )
    admin_api_key: Secret | None = setting(
        ACCESS, None, kinds.secret(), "Key of the admin API. Unset: there is no admin API."
    )
    decision_headers: bool = setting(
        ACCESS,
        False,
        kinds.switch(),
        "Send the x-warmroute-* headers with every response, not only where x-warmroute-admin-key bears the admin key. "
        "They let one tenant probe for another's prompts.",
    )

    max_body_bytes: int = setting(LIMITS, 64 * MIB, kinds.size(1024, 4 * GIB), "A larger request body is answered 413.")
    max_buffered_bytes: int = setting(
        LIMITS,
        1 * GIB,
        kinds.size(1024, 1024 * GIB),
        "All request bodies together, each held until its answer has ended; one that goes beyond it is answered 429.",
    )
    max_header_bytes: int = setting(
        LIMITS, 64 * KIB, kinds.size(1024, 1 * MIB), "Request line and headers together; beyond it 431."
    )
    max_requests_in_flight: int = setting(
        LIMITS, 4096, kinds.whole(1, 1_000_000), "Requests running at once; beyond it new ones are answered 429."
    )

    saturation_wait_s: float = setting(
        SATURATION,
        2.0,
        kinds.number(0, 3600, SECONDS),
        "A worker at which a prompt would wait longer than this before its prefill begins is saturated. While all are, "
        "prompts wait in the router, fairly over clients. 0: they never do. See docs/clients.md.",
    )
    queue_timeout_s: float = setting(
        SATURATION,
        30.0,
        kinds.number(0.1, 3600, SECONDS),
        "A prompt that has waited so long in the router is answered 429.",
    )
    queue_max_requests: int = setting(
        SATURATION,
        1024,
        kinds.whole(1, 1_000_000),
        "Prompts that may wait in the router. Beyond, the client with most of them gets 429 for its newest.",
    )

    header_timeout_s: float = setting(
        TIMES,
        10.0,
        kinds.number(0.1, 3600, SECONDS),
        "From the first byte of a request, or the opening of a connection, to the end of the headers; beyond it 408.",
    )
    body_timeout_s: float = setting(
        TIMES,
        60.0,
        kinds.number(0.1, 3600, SECONDS),
        "Silence of a client that is uploading its body; beyond it 408. Also for a client that does not take an error "
        "or one of the router's own pages.",
    )
    write_timeout_s: float = setting(
        TIMES,
        60.0,
        kinds.number(0.1, 3600, SECONDS),
        "A client that takes no byte of a worker's answer for so long is cut off.",
    )
    keepalive_timeout_s: float = setting(
        TIMES, 75, kinds.whole(1, 3600, SECONDS), "Idle time after which a client's connection is closed."
    )
    connect_timeout_s: float = setting(
        TIMES, 5.0, kinds.number(0.05, 300, SECONDS), "To open a connection to a worker."
    )
    first_byte_timeout_s: float = setting(
        TIMES,
        600.0,
        kinds.number(0.1, 86400, SECONDS),
        "From dispatch to the worker's first byte: connecting, its queue and the whole prefill; without streaming, "
        "the whole answer.",
    )
    silence_timeout_s: float = setting(
        TIMES, 120.0, kinds.number(0.1, 86400, SECONDS), "Between two bytes of a worker's answer."
    )

    realtime_idle_s: float = setting(
        TIMES,
        300.0,
        kinds.number(1, 86400, SECONDS),
        "A WebSocket session (/v1/realtime) on which nothing passes for so long is closed.",
    )
    realtime_drain_s: float = setting(
        TIMES,
        30.0,
        kinds.number(0, 86400, SECONDS),
        "So long after its worker or the router began to drain, a WebSocket session is closed (1001), so that the "
        "client connects to another.",
    )

    retry_budget: float = setting(
        FAILURE,
        0.1,
        kinds.number(0, 1, "SHARE"),
        "Retries as a share of the traffic, so that an outage is not multiplied; up to 256 are saved for bad moments. "
        "Failed connections are always retried. 0: only these.",
    )
    max_attempts: int = setting(
        FAILURE, 3, kinds.whole(1, 10), "Workers that one request tries at most, the first included. 1: no retries."
    )
    breaker_failures: int = setting(
        FAILURE,
        5,
        kinds.whole(1, 1000),
        "Failures (never a 4xx, never a client that left) after which a worker is set aside: so many in a row, or "
        "within 10 s if that is more than half of its requests. Of 503s it takes four times as many, in a row.",
    )
    breaker_open_s: float = setting(
        FAILURE, 10.0, kinds.number(0.1, 3600, SECONDS), "Time for which it is set aside, before one request tries it."
    )

    otlp_endpoint: str = setting(
        LOGS,
        "",
        kinds.url("http", "https"),
        "OpenTelemetry collector that spans are sent to (OTLP over HTTP), such as http://collector:4318/v1/traces. "
        "Needs the extra otel. Unset: no spans.",
    )
    trace_sample: float = setting(
        LOGS,
        1.0,
        kinds.number(0, 1, "SHARE"),
        "Share of the traces begun here that is recorded; one that a client has begun is recorded if it says so.",
    )
    log_level: str = setting(
        LOGS,
        "info",
        kinds.choice("debug", "info", "warning", "error", metavar="LEVEL"),
        "The least that is logged, on standard error.",
    )
    access_log: bool = setting(
        LOGS,
        True,
        kinds.switch(),
        "Write one JSON line for every request to standard output. It never holds prompt text.",
    )


def declared() -> tuple[Setting, ...]:
    """All settings, in the order of the documentation."""
    return tuple(Setting.of(field) for field in dataclasses.fields(Settings))
