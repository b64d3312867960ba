"""What each path is, and which paths of a worker clients may reach: only those that are named here.

An engine serves its control plane (caches, weights, adapters, profiles) on the same port as inference, and each version
adds to it. So a path that is not in the list is answered 404. Paths are compared in one canonical spelling, and workers
get that spelling: a worker cannot read another path than the one that was compared here.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from router.wire.errors import ApiError, Style

PROMPT_ROUTES: Final = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
}
"""POST endpoints whose prompt is read: the request goes where its prefix is cached."""

FORM_ENDPOINTS: Final = frozenset({"/v1/audio/transcriptions", "/v1/audio/translations"})
"""Endpoints whose bodies are forms (multipart); all others are JSON."""

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
"""Routed by load. The model reads the input, and clients with a limit on tokens pay for it."""

TEXT_ENDPOINTS: Final = frozenset(
    {"/tokenize", "/v1/tokenize", "/detokenize", "/v1/detokenize", "/v1/messages/count_tokens"}
)
"""Routed by load. The model computes nothing, and nothing is charged."""

MODELS: Final = "/v1/models"
OWN_ROUTES: Final = frozenset({"/health", "/ready", "/metrics", MODELS})
"""Answered by the router itself. Only /v1/models needs a client key."""

REALTIME: Final = b"/v1/realtime"
"""A WebSocket, relayed as bytes."""

ADMIN_PREFIX: Final = "/admin"

RESPONSE_ID: Final = re.compile(r"/v1/responses/(?P<id>resp_[A-Za-z0-9_.~:-]+)(?P<action>/cancel|/input_items)?")
"""Stored responses: only the worker that made a response knows it. Use `fullmatch`."""

_OWN = frozenset(path.encode() for path in (*OWN_ROUTES, ADMIN_PREFIX))
_OWN_PREFIXES = (b"/admin/", b"/v1/models/")
_USUAL = {path.encode(): path for path in PROMPT_ROUTES}
_SLASHES = re.compile(rb"/{2,}")
_PLAIN = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.~:-]+)+")
_POST = frozenset({"POST"})
_ADDED = frozenset({"GET", "POST"})
_RESPONSE_METHODS = {None: frozenset({"GET", "DELETE"}), "/cancel": _POST, "/input_items": frozenset({"GET"})}
PREFLIGHT: Final = "OPTIONS"
"""The method of a browser's preflight request (CORS): a worker answers it, and it has no other effect."""


class Paths:
    """The allow-list. `added` are further paths that the operator allows, each in its canonical spelling."""

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
    at the end. Empty if the result is no plain path: with dot segments, another escape, `;`, a backslash, a NUL, or a
    character that is not ASCII."""
    if (usual := _USUAL.get(raw_path)) is not None:
        return usual
    path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
    path = _SLASHES.sub(b"/", path).rstrip(b"/")
    return path.decode("ascii") if _PLAIN.fullmatch(path) else ""


def is_canonical(path: str) -> bool:
    """Is this the spelling in which paths are compared?"""
    return path.isascii() and canonical(path.encode()) == path


def is_own(raw_path: bytes) -> bool:
    """Is it one of the router's own pages, in exactly this spelling? Another spelling must not pass a proxy in front
    that hides /metrics or /admin."""
    return raw_path in _OWN or raw_path.startswith(_OWN_PREFIXES)


def style_of(path: str) -> Style:
    """The style of a path's errors."""
    if path.startswith("/v1/messages"):
        return "anthropic"
    return "responses" if path.startswith("/v1/responses") else "openai"


def endpoint_label(path: str) -> str:
    """The metric label for a path: a closed set."""
    if path in PROMPT_ROUTES or path in COMPUTED_ENDPOINTS or path in TEXT_ENDPOINTS or path == REALTIME.decode():
        return path
    return "/v1/responses/{id}" if RESPONSE_ID.fullmatch(path) else "other"


class PathFacts(NamedTuple):
    """What a path (canonical, or one that is refused) says of its requests."""

    target: bytes
    """The path as workers get it, without a query."""
    api: str
    """Of a prompt that is posted there; empty for none."""
    endpoint: str
    style: Style


def facts_of(path: str) -> PathFacts:
    """The facts of a path. Those of the named paths are made once."""
    return _NAMED.get(path) or _facts(path)


def _facts(path: str) -> PathFacts:
    return PathFacts(path.encode("latin-1"), PROMPT_ROUTES.get(path, ""), endpoint_label(path), style_of(path))


_NAMED: Final = {path: _facts(path) for path in (*PROMPT_ROUTES, *COMPUTED_ENDPOINTS, *TEXT_ENDPOINTS)}
NAMED_TARGETS: Final = frozenset(facts.target for facts in _NAMED.values())
