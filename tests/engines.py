"""Emulated engines for tests: real servers on real sockets, in a thread (quick) or in a process (can be killed).

    with EngineThread(model="m") as engine:
        engine.fault("status_503", count=1)
        ... requests to engine.url ...
        assert engine.state()["requests"] == 2

`kill()` ends an engine without a word to its clients; `start()` brings it back on the same port, empty. Needs no
event loop; the calls block for a few milliseconds.
"""

import asyncio
import dataclasses
import http.client
import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import uvicorn
import uvloop

from loadtests.engine.profiles import PROFILES, Profile
from loadtests.engine.server import bound_socket, make_server, token_source
from loadtests.engine.settings import Settings
from loadtests.ports import ports

START_S = 20.0
HOST = "127.0.0.1"


class RunningEngine:
    """What tests do with an engine, wherever it runs."""

    def __init__(self) -> None:
        (self.port,) = ports(1)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def state(self) -> dict[str, Any]:
        """Counts and the last request: running, waiting, aborted, finished, requests, free_blocks, last, ..."""
        return self._call("GET", "state")  # type: ignore[no-any-return]

    def requests(self) -> list[dict[str, Any]]:
        """The last 64 POST requests, oldest first: path, headers, body_bytes, body_sha256, ..."""
        return self._call("GET", "requests")  # type: ignore[no-any-return]

    def fault(self, kind: str, **measure: Any) -> None:
        """Misbehave: see `loadtests/engine/faults.py` for kinds and measures. `none` ends it."""
        self._call("POST", "fault", {"kind": kind, **measure})

    def restart(self) -> None:
        """As a restarted process would look: KV pool empty, counters 0, another start time. Connections are lost."""
        self._call("POST", "restart")

    async def settles(self, timeout_s: float = 5.0, **expected: Any) -> dict[str, Any]:
        """Wait until the state has these values; returns it. Fails with the last state seen."""
        deadline = time.monotonic() + timeout_s
        while True:
            state = self.state()
            if all(state[name] == value for name, value in expected.items()):
                return state
            assert time.monotonic() < deadline, f"expected {expected}, still {state}"
            await asyncio.sleep(0.01)

    def start(self) -> Self:
        """Serve, on the port of the last time if there was one. Returns when it answers."""
        raise NotImplementedError

    def kill(self) -> None:
        """Be gone at once: connections closed by the kernel, port refused."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.kill()

    def _call(self, method: str, action: str, body: dict[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            connection.request(method, f"/emulator/{action}", json.dumps(body) if body else None)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, data
        return json.loads(data)


class EngineThread(RunningEngine):
    """An engine in a thread of this process. `settings` are the fields of `loadtests.engine.settings.Settings`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = Settings(**settings)
        self._source = token_source(self.settings)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._serving: asyncio.Task[None] | None = None

    def start(self) -> Self:
        assert self._thread is None, "it runs already"
        sock = bound_socket(HOST, self.port)
        ready = threading.Event()

        async def serve() -> None:
            self._loop, self._serving = asyncio.get_running_loop(), asyncio.current_task()
            self._server = make_server(self.settings, self._source)
            sock.listen(4096)
            ready.set()
            try:
                await self._server.serve(sockets=[sock])
            finally:
                await asyncio.sleep(0)  # shows a connection that has just been accepted
                while connections := list(self._server.server_state.connections):
                    for connection in connections:
                        connection.transport.abort()
                    await asyncio.sleep(0)

        def run() -> None:
            with suppress(asyncio.CancelledError), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve())

        self._thread = threading.Thread(target=run, name=f"engine-{self.port}", daemon=True)
        self._thread.start()
        assert ready.wait(START_S), "the engine did not start"
        self.state()
        return self

    def kill(self) -> None:
        if self._thread is None or self._server is None:
            return
        self._loop.call_soon_threadsafe(self._break_off)
        self._thread.join(START_S)
        assert not self._thread.is_alive()
        self._thread = self._server = None

    def _break_off(self) -> None:
        assert self._server is not None
        assert self._serving is not None
        for listener in self._server.servers:
            listener.close()
        self._serving.cancel()  # uvicorn's own way out looks up only ten times a second


class EngineProcess(RunningEngine):
    """An engine in a process of its own, killed with SIGKILL. Keywords are command line options: `kv_tokens=4096`."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._options = [
            text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))
        ]
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        assert self._process is None, "it runs already"
        command = [sys.executable, "-m", "loadtests.engine", "--host", HOST, "--port", str(self.port), *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "the engine did not start"
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.state()
                return self
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def kill(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None


def quick_profile(**changes: Any) -> Profile:
    """The demo profile with changes, for `EngineThread(profile=...)`: kv_tokens, block_tokens, prefill_rate, ..."""
    return dataclasses.replace(PROFILES["demo"], **changes)
