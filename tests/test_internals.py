"""The internals of uvicorn and aiohttp that the router uses: a new release that drops one is known of at once.

pyproject.toml bounds both packages from above for this reason; a weekly job tries their newest releases.
"""

import asyncio
import inspect
import re
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState


class Nothing:
    """An ASGI application."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise NotImplementedError


async def test_uvicorn_s_protocol_has_what_the_guard_overrides_and_reads() -> None:
    config = uvicorn.Config(Nothing())
    config.load()
    protocol = HttpToolsProtocol(config, ServerState(), {}, asyncio.get_running_loop())
    source = inspect.getsource(HttpToolsProtocol)
    read = ("parser", "pipeline", "flow", "cycle", "headers", "scope", "url", "transport", "loop", "tasks")
    for name in (*read, "server_state", "timeout_keep_alive", "expect_100_continue"):
        assert re.search(rf"self\.{name}\b.* = ", source), name
    methods: dict[str, list[str]] = {
        "data_received": ["data"],
        "on_message_begin": [],
        "on_headers_complete": [],
        "on_body": ["body"],
        "on_message_complete": [],
        "on_response_complete": [],
        "timeout_keep_alive_handler": [],
        "connection_lost": ["exc"],
        "_unset_keepalive_if_required": [],
    }
    for name, arguments in methods.items():
        assert list(inspect.signature(getattr(protocol, name)).parameters) == arguments, name


@pytest.mark.parametrize(
    "name",
    [
        *("scope", "transport", "flow", "keep_alive", "disconnected", "response_complete", "chunked_encoding"),
        *("expected_content_length", "body", "more_body", "response_started", "message_event", "on_response"),
        *("waiting_for_100_continue", "run_asgi"),
    ],
)
def test_uvicorn_s_cycle_has_what_answers_are_written_with(name: str) -> None:
    source = inspect.getsource(RequestResponseCycle.__init__)
    assert hasattr(RequestResponseCycle, name) or f"self.{name} =" in source or f"self.{name}:" in source


def test_uvicorn_s_flow_control_and_status_lines() -> None:
    parameters = list(inspect.signature(FlowControl).parameters)
    assert parameters == ["transport"]
    for name in ("pause_reading", "resume_reading", "drain"):
        assert callable(getattr(FlowControl, name))
    assert STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"


async def test_aiohttp_s_connector_takes_our_connections() -> None:
    assert aiohttp.ClientTimeout(total=None, sock_connect=1.0).sock_connect == 1.0
    assert list(inspect.signature(TCPConnector.connect).parameters) == ["self", "req", "traces", "timeout"]
    connector = TCPConnector(limit=0)
    try:
        assert callable(connector._factory)
    finally:
        await connector.close()
    handler: Any = ResponseHandler(asyncio.get_running_loop())
    assert handler._should_close is False
    assert handler.is_connected() is False
    for name in ("transport", "protocol", "release", "close"):
        assert hasattr(Connection, name), name
