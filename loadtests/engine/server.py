"""Serves an engine: uvicorn on uvloop with the emulator's own protocol."""

import socket
from collections.abc import Sequence

import uvicorn

from loadtests.engine.app import EngineApp
from loadtests.engine.byte_tokens import ByteTokens
from loadtests.engine.connection import EngineProtocol
from loadtests.engine.kv_events import KvFeed
from loadtests.engine.prompts import TokenSource
from loadtests.engine.settings import Settings

KEEP_ALIVE_S = 5
"""vLLM's default: an idle connection is closed after it, while a client may be about to use it."""


def token_source(settings: Settings) -> TokenSource:
    """The tokenizer that the settings ask for. Takes seconds for a real one."""
    if settings.tokenizer == "bytes":
        return ByteTokens()
    from loadtests.engine.model_tokens import ModelTokens  # noqa: PLC0415  (imports transformers: a second)

    return ModelTokens(settings.tokenizer, settings.kind)


def bound_socket(host: str, port: int) -> socket.socket:
    """A listening address; port 0 takes a free one."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    return sock


def make_server(settings: Settings, source: TokenSource, feeds: Sequence[KvFeed] = ()) -> uvicorn.Server:
    """A server that is ready for `serve(sockets=[...])`. The loop must be running. `feeds`: none, or one for each
    rank."""
    config = uvicorn.Config(
        EngineApp(settings, source, feeds),
        http=EngineProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=True,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
        backlog=4096,
    )
    return uvicorn.Server(config)
