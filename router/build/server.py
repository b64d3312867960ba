"""Runs uvicorn around the gateway: its loop, its protocol, its signals.

SIGTERM and SIGINT drain: nothing new is accepted, running requests finish within the drain time, then the process ends
with exit code 0. A second SIGINT waits for nothing.

With `drain_delay_s` SIGTERM first makes the router say that it is leaving (`/ready`, `Connection: close`) and go on
serving: a connection that a balancer makes before it knows would otherwise be refused, or reset with the request sent.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

from router.build.tuning import Tuning
from router.dial.certificates import ask_clients
from router.http.gateway import Gateway
from router.settings import Settings
from router.wire.body import BodyBudget
from router.wire.protocol import GuardedProtocol, HttpLimits, Leaving

SWEEP_S = 1.0


class Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to `drain_on_signals`."""

    def __init__(self, config: uvicorn.Config, leaving: Leaving, drain_delay_s: float) -> None:
        super().__init__(config)
        self._leaving = leaving
        self._drain_delay_s = drain_delay_s

    @property
    def draining(self) -> bool:
        """True from the first signal on."""
        return self._leaving.now or self.should_exit

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: uvicorn would raise the signal again at its end, and kill the process before it is cleaned up."""
        yield

    def drain_on_signals(self) -> None:
        """Begin to drain at SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.drain)
        loop.add_signal_handler(signal.SIGINT, self.handle_exit, signal.SIGINT, None)

    def drain(self) -> None:
        """Begin to drain. Called again, do not wait for the balancer any longer."""
        if self._leaving.now or not self._drain_delay_s:
            self._stop_listening()
            return
        self._leaving.now = True
        for connection in list(self.server_state.connections):
            if isinstance(connection, GuardedProtocol):
                connection.close_after_answer()
        asyncio.get_running_loop().call_later(self._drain_delay_s, self._stop_listening)

    def _stop_listening(self) -> None:
        self.should_exit = True

    async def sweep(self) -> None:
        """Close the connections whose headers do not arrive in time, for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                if isinstance(connection, GuardedProtocol):
                    connection.check_header_time(now)


def _load(config: uvicorn.Config, settings: Settings) -> None:
    config.load()
    if config.ssl is not None and settings.tls_client_ca:
        ask_clients(config.ssl, settings.tls_client_ca, not settings.tls_client_optional)


def make_server(gateway: Gateway, settings: Settings, bodies: BodyBudget, tuning: Tuning) -> Server:
    """A server that is not started yet. `bodies` is the room for what clients upload."""

    leave = Leaving()

    class Protocol(GuardedProtocol):
        leaving = leave
        budget = bodies
        limits = HttpLimits(
            header_timeout_s=tuning.header_timeout_s, gathered_bytes=min(1 << 19, settings.max_body_bytes)
        )

    tls: dict[str, Any] = {}
    if settings.tls_certificate:
        tls = {"ssl_certfile": settings.tls_certificate, "ssl_keyfile": settings.tls_key}
    config = uvicorn.Config(
        gateway,
        host=settings.host,
        port=settings.port,
        loop="none",
        http=Protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=2048,
        timeout_keep_alive=int(tuning.keepalive_timeout_s),
        timeout_graceful_shutdown=max(1, int(settings.drain_timeout_s)),
        **tls,
    )
    _load(config, settings)  # a certificate that cannot be used shows now, not after other things have started
    return Server(config, leave, settings.drain_delay_s)
