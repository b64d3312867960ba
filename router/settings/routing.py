"""The settings of how prompts are read and routed, and what routers share: the second part of `Settings`.

What the texts are for: `fields.py`.
"""

import dataclasses
from collections.abc import Mapping

from router.settings import kinds, places
from router.settings.serving import SECONDS, ServingSettings
from router.settings.setting import Secret, setting

ROUTING = "Routing"
SHARED = "Shared by several routers"
TOKENS = "Tokens"

MIB, GIB = 1 << 20, 1 << 30


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RoutingSettings(ServingSettings):
    """Which worker gets a prompt, by what is known of it."""

    policy: str = setting(
        ROUTING,
        "expected_ttft",
        kinds.policy(),
        "The rule that chooses the worker. The default needs no tuning. docs/policies.md says what the others are for.",
    )
    shadows: tuple[str, ...] = setting(
        ROUTING,
        (),
        kinds.many(kinds.policy()),
        "Policy by which each prompt is also decided, without sending anything: metrics and the page at /admin/ui then "
        "say what the served policy saves against it. Each takes as much memory again as the index. Set round_robin to "
        "see what an ordinary balancer would cost. See docs/status.md.",
        name="shadow",
    )
    session_header: str = setting(
        ROUTING,
        "x-session-id",
        kinds.header_name(),
        "Request header that names the client's session, beside those that known clients send. The policy "
        "consistent_hash reads it alone. Change it when your clients name their sessions in another header. See "
        "docs/sessions.md.",
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
        places.redis_url(),
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
    ask_usage: bool = setting(
        TOKENS,
        True,
        kinds.switch(),
        "Ask vLLM and SGLang for the usage of streams whose clients do not, and take that chunk out again. Predictions "
        "and clients' charges are corrected by it. Switch it off when workers must see the clients' own bytes.",
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
