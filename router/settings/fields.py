"""`Settings`: every setting with its default, range, unit and explanation, in one place (with `serving.py` and
`routing.py`).

The text given here is what `warmroute serve --help` and `docs/configuration.md` say: what the setting does, one thing a
sentence, and when to change it. A setting's flag, environment variable and TOML key all come from its one name, so a
name must not change lightly; what is taken out goes to `gone.py` for one version.
"""

import dataclasses

from router.settings import kinds, places
from router.settings.routing import RoutingSettings
from router.settings.serving import SECONDS
from router.settings.setting import Secret, Setting, setting

ACCESS = "Access"
LIMITS = "Limits"
SATURATION = "Saturation"
TIMES = "Time limits"
LOGS = "Logs"

MIB, GIB = 1 << 20, 1 << 30


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings(RoutingSettings):
    """All settings of one router process. `load` checks them; code that builds one by hand answers for its values."""

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
        kinds.many(places.extra_path()),
        "Path of the workers that clients may GET and POST, besides those in docs/clients.md. Other paths are answered "
        "404. Never name one that controls the engine. Clients whose models, tokens or cache salt are limited are "
        "refused there.",
        name="extra_path",
    )
    admin_api_key: Secret | None = setting(
        ACCESS, None, kinds.secret(), "Key of the admin API. Unset: there is no admin API."
    )
    open_status: bool = setting(
        ACCESS,
        False,
        kinds.switch(),
        "Show GET /admin/status and the page at /admin/ui without a key. They name the workers' addresses and models, "
        "never text. Switch it on only in a network where everybody may know that.",
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
        "answered 503. Change it with the memory of the process.",
    )
    max_requests_in_flight: int = setting(
        LIMITS,
        4096,
        kinds.whole(1, 1_000_000),
        "Requests that run at once. Another one is answered 503. A quarter of them may wait in the queue for saturated "
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
        120.0,
        kinds.number(0.1, 3600, SECONDS),
        "A new session's prompt that has waited for this many seconds for a worker that is not saturated is answered "
        "503. Turns of known sessions wait on. Set it to what your clients are willing to wait.",
    )

    session_wait_s: float = setting(
        SATURATION,
        120.0,
        kinds.number(0, 3600, SECONDS),
        "Sessions that do not fit into the workers' KV memory together take turns. A session waits for this many "
        "seconds. Then the one whose memory was kept for longest makes room. 0: all go to their workers at once, and "
        "push each other out. Keep it below your clients' patience. See docs/sessions.md.",
    )

    stream_keepalive_s: float = setting(
        SATURATION,
        0.0,
        kinds.number(0, 3600, SECONDS),
        "Seconds between two signs of life on a stream that waits for a place or for its first byte. After the first "
        "one its answer has status 200, and errors come as events. 0: none. Set it to 20 where something in front cuts "
        "silent connections. See docs/clients.md.",
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
        places.url("http", "https"),
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
    trace_file: str = setting(
        LOGS,
        "",
        kinds.name("FILE", "a path"),
        "File that gets a line for each answered prompt, for warmroute-lab: times, lengths and keyed hashes, no text, "
        "no ids. A new file is begun at 64 MB and at a start, and seven old ones are kept. See docs/laboratory.md. "
        "Unset: none.",
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
