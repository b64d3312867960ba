"""Which path is what: prefix-routed APIs, stateful calls, the router's own pages, and everything else.

One table, so that the documentation, the gateway and the tests speak of the same routes.
"""

import re

from router.http.errors import Style

PROMPT_ROUTES = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
}
"""POST: the prompt is read, and the request goes where its prefix is."""

STYLES: dict[str, Style] = {"responses": "responses", "messages": "anthropic"}
"""Error style by API; the rest is OpenAI's."""

LOAD_ENDPOINTS = frozenset(
    {
        "/v1/embeddings",
        "/pooling",
        "/score",
        "/v1/score",
        "/rerank",
        "/v1/rerank",
        "/v2/rerank",
        "/classify",
        "/v1/classify",
        "/v1/audio/transcriptions",
        "/v1/audio/translations",
        "/v1/audio/speech",
        "/tokenize",
        "/detokenize",
        "/v1/messages/count_tokens",
    }
)
"""Routed by load, and named in metrics. Other paths are routed by load as well, and counted as `other`."""

OWN_ROUTES = frozenset({"/health", "/ready", "/metrics", "/v1/models"})
"""Answered by the router itself, without a client key but for /v1/models."""

REALTIME = b"/v1/realtime"
"""A WebSocket, relayed as bytes."""

ADMIN_PREFIX = "/admin"

RESPONSE_ID = re.compile(r"^/v1/responses/(?P<id>[^/]+)(?:/[a-z_]+)?$")
"""Stateful: only the worker that made the response knows it."""

WORKER_CONTROL = re.compile(
    r"^(?:/v1)?/(?:sleep|wake_up|is_sleeping|reset_\w+|flush_cache|clear_\w+|pause|resume|abort\w*|collective_rpc|scale_\w+"
    r"|is_scaling\w*|load_lora_adapter|unload_lora_adapter|start_profile|stop_profile|start_expert\w*|stop_expert\w*|dump_\w+"
    r"|update_\w+|init_\w+|destroy_\w+|get_weights\w*|release_memory\w*|resume_memory\w*|open_session|close_session|configure_logging"
    r"|set_internal_state|get_internal_state|freeze_gc|slow_down|hicache\w*|server_info|get_server_info|kv_event_sources"
    r"|inference(?:/.*)?|emulator(?:/.*)?|invocations)(?:/.*)?$"
)
"""Engine control and introspection: a client of the router has no business there, and one worker of many is not what an
operator means. Refused; operators talk to the worker itself."""


def style_of(path: str) -> Style:
    """The style of the errors of a path."""
    return STYLES.get(PROMPT_ROUTES.get(path, ""), "openai")


def endpoint_label(path: str) -> str:
    """The metric label for a path: a closed set."""
    if path in PROMPT_ROUTES or path in LOAD_ENDPOINTS or path in OWN_ROUTES or path == REALTIME.decode():
        return path
    return "/v1/responses/{id}" if RESPONSE_ID.match(path) else "other"
