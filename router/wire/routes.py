"""Which path is what, and which paths of a worker clients may reach at all: those that are named here, and no others.

An engine serves its control plane (caches, weights, adapters, profiles) on the same port as inference, and each of its
versions brings more of it. So what is not in the list is answered 404. Paths are compared in one canonical spelling,
and that spelling is what workers get: a worker cannot read in a path anything but what was compared here.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

from router.wire.errors import ApiError, Style

PROMPT_ROUTES: Final = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
}
"""POST: the prompt is read, and the request goes where its prefix is."""

FORM_ENDPOINTS: Final = frozenset({"/v1/audio/transcriptions", "/v1/audio/translations"})
"""Their bodies are forms (multipart); all others are JSON."""

COMPUTED_ENDPOINTS: Final = FORM_ENDPOINTS | {
    "/v1/embeddings",
    "/v2/embed",
    "/pooling",
    "/score",
    "/v1/score",
    "/rerank",
    "/v1/rerank",
    "/v2/rerank",
    "/classify",
    "/v1/classify",
    "/v1/audio/speech",
}
"""Routed by load. The model reads what is sent: clients with a limit on tokens pay for it."""

TEXT_ENDPOINTS: Final = frozenset(
    {"/tokenize", "/v1/tokenize", "/detokenize", "/v1/detokenize", "/v1/messages/count_tokens"}
)
"""Routed by load. Nothing goes through the model, and nothing is charged."""

MODELS: Final = "/v1/models"
OWN_ROUTES: Final = frozenset({"/health", "/ready", "/metrics", MODELS})
"""Answered by the router itself, without a client key but for /v1/models."""

REALTIME: Final = b"/v1/realtime"
"""A WebSocket, relayed as bytes."""

ADMIN_PREFIX: Final = "/admin"

RESPONSE_ID: Final = re.compile(r"/v1/responses/(?P<id>resp_[A-Za-z0-9_.~:-]+)(?P<action>/cancel|/input_items)?")
"""Stateful: only the worker that made the response knows it. `fullmatch` it."""

_OWN = frozenset(path.encode() for path in (*OWN_ROUTES, ADMIN_PREFIX))
_OWN_PREFIXES = (b"/admin/", b"/v1/models/")
_USUAL = {path.encode(): path for path in PROMPT_ROUTES}
_SLASHES = re.compile(rb"/{2,}")
_PLAIN = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.~:-]+)+")
_POST = frozenset({"POST"})
_ADDED = frozenset({"GET", "POST"})
_RESPONSE_METHODS = {None: frozenset({"GET", "DELETE"}), "/cancel": _POST, "/input_items": frozenset({"GET"})}
PREFLIGHT: Final = "OPTIONS"
"""What browsers ask with before they send: a worker answers it (CORS), and it does nothing else."""


class Paths:
    """The allow-list. `added` are what the operator allows besides, each in its canonical spelling."""

    def __init__(self, added: Iterable[str] = ()) -> None:
        self._methods = dict.fromkeys((*PROMPT_ROUTES, *COMPUTED_ENDPOINTS, *TEXT_ENDPOINTS), _POST)
        self._methods |= dict.fromkeys(added, _ADDED)

    def check(self, path: str, method: str) -> None:
        """Raises ApiError unless a worker may be asked with this method for this (canonical) path."""
        methods = self._methods.get(path)
        if methods is None:
            stored = RESPONSE_ID.fullmatch(path)
            if stored is None:
                raise ApiError(404, "There is no such path here.", "path_not_found")
            methods = _RESPONSE_METHODS[stored["action"]]
        if method not in methods and method != PREFLIGHT:
            raise ApiError(405, f"This path takes {' or '.join(sorted(methods))} only.", "method_not_allowed")


def canonical(raw_path: bytes) -> str:
    """The path of a request's target as it is compared and forwarded: escapes resolved once, no empty segment, no slash
    at the end. Empty for what is no plain path then: dot segments, another escape, `;`, a backslash, a NUL, anything
    that is not ASCII."""
    if (usual := _USUAL.get(raw_path)) is not None:
        return usual
    path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
    path = _SLASHES.sub(b"/", path).rstrip(b"/")
    return path.decode("ascii") if _PLAIN.fullmatch(path) else ""


def is_canonical(path: str) -> bool:
    """Is this the spelling in which paths are compared?"""
    return path.isascii() and canonical(path.encode()) == path


def is_own(raw_path: bytes) -> bool:
    """Is it one of the router's own pages? In this very spelling: a proxy in front that hides /metrics or /admin must
    not be passed by another one."""
    return raw_path in _OWN or raw_path.startswith(_OWN_PREFIXES)


def style_of(path: str) -> Style:
    """The style of the errors of a path."""
    if path.startswith("/v1/messages"):
        return "anthropic"
    return "responses" if path.startswith("/v1/responses") else "openai"


def endpoint_label(path: str) -> str:
    """The metric label for a path: a closed set."""
    if path in PROMPT_ROUTES or path in COMPUTED_ENDPOINTS or path in TEXT_ENDPOINTS or path == REALTIME.decode():
        return path
    return "/v1/responses/{id}" if RESPONSE_ID.fullmatch(path) else "other"
