"""`Settings`: every setting with its default, range, unit and explanation, in one place (with `serving.py`).

The text given here is what `warmroute serve --help` and `docs/configuration.md` say: what the setting does, one thing a
sentence, and when to change it. A setting's flag, environment variable and TOML key all come from its one name, so a
name must not change lightly; what is taken out goes to `gone.py` for one version.
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
LOGS = "Logs"

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ServingSettings):
    """All settings of one router process. `load` checks them; code that builds one by hand answers for its values."""

    policy: str = setting(
        ROUTING,
        "expected_ttft",
        kinds.policy(),
        "The rule that chooses the worker. The default needs no tuning. docs/policies.md says what the others are for.",
    )
    session_header: str = setting(
        ROUTING,
        "x-session-id",
        kinds.header_name(),
        "Request header that names the client's session. Only the policy consistent_hash reads it. Change it when your "
        "clients name their sessions in another header.",
    )
    prefill_rate: float = setting(
        ROUTING,
        8000.0,
        kinds.number(1, 1e9, "TOKENS/S"),
        "Uncached prompt tokens that a worker is assumed to prefill in a second. It counts until the worker's own rate "
        "is measured. Change it for engines that export no prefill times: all but vLLM and SGLang.",
    )
    max_attempts: int = setting(
        ROUTING,
        3,
        kinds.whole(1, 10),
        "Workers that one request tries at most, the first included. Set 1 when something in front of the router "
        "retries already.",
    )
    index_max_blocks: int = setting(
        ROUTING,
        2_000_000,
        kinds.whole(1_000, 1_000_000_000),
        "Blocks that the prefix index holds at most. A block that several workers hold counts once. When the index is "
        "full, new blocks are not recorded. Raise it when the alert WarmrouteIndexRefuses fires and there is memory.",
    )
    index_secret: Secret | None = setting(
        ROUTING,
        None,
        kinds.secret(),
        "Key of the block hashes. Without it nobody can guess a prompt from them. Unset: drawn at start. Set it, the "
        "same on every router, when routers share Redis.",
    )
    default_kv_tokens: int = setting(
        ROUTING,
        500_000,
        kinds.whole(1_000, 10**12, "TOKENS"),
        "KV capacity of a worker that does not report one. Set it to what the engine logs at its start. Too high a "
        "value predicts cache hits that do not come.",
    )
    host_kv_tokens: int = setting(
        ROUTING,
        0,
        kinds.whole(0, 10**12, "TOKENS"),
        "KV tokens that each worker keeps in its host's memory, beside those on the GPU. No engine reports them. Set "
        "it for vLLM's offloading, LMCache and HiCache. Leave it at 0 for a pool that workers share.",
    )

    redis: str = setting(
        SHARED,
        "",
        kinds.redis_url(),
        "Redis or Valkey server through which several routers share what they know. The URL may hold user, password "
        "and database. Sentinel: redis+sentinel://HOST:PORT,HOST:PORT/SERVICE. Cluster: "
        "redis+cluster://HOST:PORT,HOST:PORT. TLS: rediss. Needs index_secret. Unset: each router knows only what went "
        "through itself.",
    )
    redis_password: Secret | None = setting(
        SHARED, None, kinds.secret(), "Password for Redis. Set it when the URL of redis holds none."
    )
    redis_prefix: str = setting(
        SHARED,
        "warmroute",
        kinds.key_prefix(),
        "What every key in Redis begins with. Give each deployment on one server its own. In a Cluster it decides the "
        "shard, which holds all keys.",
    )
    redis_ttl_s: float = setting(
        SHARED,
        6 * 3600,
        kinds.whole(60, 30 * 86400, SECONDS),
        "A prefix that was not used for this many seconds is forgotten in Redis. Lower it when Redis is full and its "
        "memory cannot grow.",
    )
    redis_max_memory_bytes: int = setting(
        SHARED,
        1 * GIB,
        kinds.size(1 * MIB, 4096 * GIB),
        "Above this memory of the Redis server no new prefixes are stored. The server's maxmemory must be higher, with "
        "the policy noeviction. Change it with the server's memory.",
    )
    redis_timeout_ms: float = setting(
        SHARED,
        5.0,
        kinds.number(0.5, 1000, "MILLISECONDS"),
        "Milliseconds that a request waits for Redis. After them it is routed by what this router knows itself. Raise "
        "it when the round trip to Redis takes longer, as between zones.",
    )

    tokenizer: str = setting(
        TOKENS,
        "auto",
        kinds.tokenizer(),
        "Tokenizer of all models: a path, a Hugging Face id, or package:NAME for one in a Python package. auto: the "
        "model path that each worker reports. off: prefixes are compared as text. Workers other than vLLM and SGLang "
        "are always compared as text.",
    )
    model_tokenizers: Mapping[str, str] = setting(
        TOKENS,
        {},
        kinds.pair(kinds.tokenizer(), "MODEL=TOKENIZER"),
        "Tokenizer of one model. Set it when the model's tokenizer is not the one that the setting tokenizer gives.",
        name="model_tokenizer",
    )
    model_chat_templates: Mapping[str, str] = setting(
        TOKENS,
        {},
        kinds.pair(kinds.file(), "MODEL=FILE"),
        "Chat template of one model. Set it when the model's workers were started with --chat-template. No engine "
        "reports what is in that template.",
        name="model_chat_template",
    )
    model_template_kwargs: Mapping[str, str] = setting(
        TOKENS,
        {},
        kinds.pair(kinds.json_object(), "MODEL=JSON"),
        "Template arguments that one model's workers use where a request gives none. Set it when vLLM was started with "
        "--default-chat-template-kwargs. SGLang reports its own.",
        name="model_template_kwargs",
    )
    forward_token_ids: bool = setting(
        TOKENS,
        False,
        kinds.switch(),
        "Send the token ids of chat prompts to workers that read them: vLLM from 0.30 on, and SGLang. Such a worker "
        "does not tokenize again. Bodies grow by 7 bytes a token. conversation_cache_bytes then holds fewer "
        "conversations, as each takes 4 bytes a token more. Switch it on when workers are short of CPU.",
    )
    ask_workers: bool = setting(
        TOKENS,
        True,
        kinds.switch(),
        "Ask a worker for the tokens of prompts that cannot be tokenized here. It is asked after the request was sent "
        "to it. Switch it off when workers are short of CPU: such prompts are then compared as text.",
    )
    encode_threads: int = setting(
        TOKENS,
        2,
        kinds.whole(1, 64),
        "Threads that tokenize long prompts, beside the event loop. Raise it when the alert WarmrouteEncodeRefuses "
        "fires and there are idle cores.",
    )
    conversation_cache_bytes: int = setting(
        TOKENS,
        256 * MIB,
        kinds.size(1 * MIB, 1024 * GIB),
        "Memory for known conversations. Of their next turn only the new part is tokenized. Raise it when the "
        "dashboard shows that conversations are dropped.",
    )

    api_keys: tuple[Secret, ...] = setting(
        ACCESS,
        (),
        kinds.many(kinds.secret()),
        "Key that a client must send, as Authorization: Bearer or x-api-key. Unset, with no keys_file: every client is "
        "served.",
        name="api_key",
    )
    keys_file: str = setting(
        ACCESS,
        "",
        kinds.file(),
        "TOML file of clients: hashes of their keys, limits, models, cache salt. It is read again when it changes. Use "
        "it when clients need limits of their own. See docs/clients.md.",
    )
    extra_paths: tuple[str, ...] = setting(
        ACCESS,
        (),
        kinds.many(kinds.extra_path()),
        "Path of the workers that clients may GET and POST, besides those in docs/clients.md. Other paths are answered "
        "404. Never name one that controls the engine. Clients whose models, tokens or cache salt are limited are "
        "refused there.",
        name="extra_path",
    )
    admin_api_key: Secret | None = setting(
        ACCESS, None, kinds.secret(), "Key of the admin API. Unset: there is no admin API."
    )
    decision_headers: bool = setting(
        ACCESS,
        False,
        kinds.switch(),
        "Send the x-warmroute-* headers with every response. Otherwise only requests that bear x-warmroute-admin-key "
        "get them. With the headers one tenant can probe for another's prompts. Switch it on for tests.",
    )

    max_body_bytes: int = setting(
        LIMITS,
        64 * MIB,
        kinds.size(1024, 4 * GIB),
        "Size of a request body at most. A larger one is answered 413. Raise it for large images, audio or files.",
    )
    max_buffered_bytes: int = setting(
        LIMITS,
        1 * GIB,
        kinds.size(1024, 1024 * GIB),
        "Size of all request bodies together. A body is held until its answer has ended. A body beyond the limit is "
        "answered 429. Change it with the memory of the process.",
    )
    max_requests_in_flight: int = setting(
        LIMITS,
        4096,
        kinds.whole(1, 1_000_000),
        "Requests that run at once. Another one is answered 429. A quarter of them may wait in the queue for saturated "
        "workers. Raise it when the fleet is large and there are files and memory for more.",
    )

    saturation_wait_s: float = setting(
        SATURATION,
        2.0,
        kinds.number(0, 3600, SECONDS),
        "A worker is saturated when a prompt would wait there for longer than this. While all workers are saturated, "
        "prompts wait in the router, fairly over clients. 0: they never wait there. Lower it when short prompts of one "
        "client suffer from another's long ones. See docs/clients.md.",
    )
    queue_timeout_s: float = setting(
        SATURATION,
        30.0,
        kinds.number(0.1, 3600, SECONDS),
        "A prompt that has waited in the router for this many seconds is answered 429. Set it to what your clients are "
        "willing to wait.",
    )

    client_timeout_s: float = setting(
        TIMES,
        60.0,
        kinds.number(0.1, 3600, SECONDS),
        "Seconds for which a client may neither send the next byte of its body nor take one of an answer. A client "
        "that does not send is answered 408. A client that does not take is cut off. Raise it when clients pause while "
        "they read.",
    )
    keepalive_timeout_s: float = setting(
        TIMES,
        75,
        kinds.whole(1, 3600, SECONDS),
        "A client's connection that is idle for this many seconds is closed. Set it higher than the idle time of the "
        "balancer in front.",
    )
    first_byte_timeout_s: float = setting(
        TIMES,
        600.0,
        kinds.number(0.1, 86400, SECONDS),
        "Seconds from dispatch to the worker's first byte: connecting, its queue and the whole prefill. Without "
        "streaming it is the whole answer. Raise it when prompts or answers take longer.",
    )
    silence_timeout_s: float = setting(
        TIMES,
        120.0,
        kinds.number(0.1, 86400, SECONDS),
        "Seconds between two bytes of a worker's answer. After them the answer is cut. Raise it when engines pause "
        "longer while they decode.",
    )

    otlp_endpoint: str = setting(
        LOGS,
        "",
        kinds.url("http", "https"),
        "OpenTelemetry collector for spans (OTLP over HTTP), such as http://collector:4318/v1/traces. Needs the extra "
        "otel. Unset: no spans.",
    )
    trace_sample: float = setting(
        LOGS,
        1.0,
        kinds.number(0, 1, "SHARE"),
        "Share of the traces begun here that is recorded. A trace that a client has begun is recorded if the client "
        "says so. Lower it when the collector gets too much.",
    )
    log_level: str = setting(
        LOGS,
        "info",
        kinds.choice("debug", "info", "warning", "error", metavar="LEVEL"),
        "The least severe level that is logged, on standard error. Use debug to look for a fault.",
    )
    access_log: bool = setting(
        LOGS,
        True,
        kinds.switch(),
        "Write one JSON line for every request to standard output. It never holds prompt text. Switch it off when "
        "nobody reads it.",
    )


def declared() -> tuple[Setting, ...]:
    """All settings, in the order of the documentation."""
    return tuple(Setting.of(field) for field in dataclasses.fields(Settings))
