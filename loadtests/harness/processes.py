"""Engines and routers as processes: started, asked, killed. All are gone when their `async with` ends.

Blocking calls go to a thread, so that asking never delays the streams that are being measured.
"""

import asyncio
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType, TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from loadtests.harness.client import HOST
from loadtests.harness.usage import Usage
from router.fleet.worker_names import worker_id

MODEL = "endurance"
ADMIN = "x"
START_S = 300.0
STOP_S = 10.0
COUNTS = (
    *("warmroute_worker_in_flight", "warmroute_worker_queued_tokens", "warmroute_worker_held_tokens"),
    *("warmroute_requests_in_flight", "warmroute_buffered_body_bytes", "warmroute_index_pending"),
)
"""Gauges that a router raises for a request and must lower, however the request ends."""


NO_TUNING: Mapping[str, float] = MappingProxyType({})


class NotReady(RuntimeError):
    """A process did not start, or did not reach an awaited state in time."""


class Process:
    """`python -m MODULE FLAGS` on a port that stays the same over restarts. `async with` starts and ends it."""

    def __init__(self, port: int, command: Sequence[str], python: str = sys.executable) -> None:
        self.port = port
        self.url = f"http://{HOST}:{port}"
        self._command = [python, "-m", *command, "--host", HOST, "--port", str(port)]
        self._child: subprocess.Popen[bytes] | None = None
        self.under: Sequence[str] = ()
        """Words before the command, such as `env NAME=VALUE`, of a program that executes the command in the same
        process."""

    def start(self) -> None:
        """Start the process, without waiting until it serves."""
        environ = {**os.environ, "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1"}
        self._child = subprocess.Popen([*self.under, *self._command], stdout=subprocess.DEVNULL, env=environ)

    def kill(self) -> None:
        """Send SIGKILL, so that it ends without closing anything."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    async def stop(self) -> int:
        """Send SIGTERM and wait until it has ended. Returns its exit code."""
        assert self._child is not None
        self._child.terminate()
        code = await asyncio.to_thread(self._child.wait, START_S)
        self._child = None
        return code

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Status and text; status 0 when nothing answers."""
        return await asyncio.to_thread(call, self.port, method, path, body)

    async def ready(self) -> bool:
        """Does it serve?"""
        return (await self.call("GET", "/health"))[0] == 200

    def memory_mb(self) -> float:
        """Resident memory."""
        return Usage(self._child.pid).read()[1] if self._child is not None else 0.0

    def cpu_s(self) -> float:
        """CPU time of the process and its children since it was started."""
        return Usage(self._child.pid).cpu_ms() / 1000 if self._child is not None else 0.0

    async def wait_ready(self) -> None:
        """Raises NotReady, at once where the process has ended."""

        async def serves() -> bool:
            if self._child is not None and (code := self._child.poll()) is not None:
                raise NotReady(f"{self.url} has ended with exit code {code}")
            return await self.ready()

        await until(serves, START_S, f"{self.url} does not serve")

    async def __aenter__(self) -> Self:
        if self._child is None:
            self.start()
        await self.wait_ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.terminate()
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._child.wait, STOP_S)
            self.kill()


class Engine(Process):
    """An emulated engine."""

    def __init__(self, port: int, *flags: str) -> None:
        super().__init__(port, ["loadtests.engine", "--model", MODEL, *flags])
        self.worker = worker_id(self.url)

    async def state(self) -> dict[str, Any]:
        """Counts of the engine."""
        return dict(json.loads((await self.call("GET", "/emulator/state"))[1]))

    async def fault(self, kind: str, **measure: object) -> None:
        """Let the engine misbehave for prompts; it still answers probes normally. `none` ends it."""
        await self.call("POST", "/emulator/fault", {"kind": kind, "path": "/v1/chat/completions", **measure})


class Router(Process):
    """A router in front of engines; ready when it knows all of them. `tuning`: what no operator sets."""

    def __init__(
        self, port: int, engines: Sequence[Engine], *flags: str, tuning: Mapping[str, float] = NO_TUNING
    ) -> None:
        workers = [flag for engine in engines for flag in ("--worker", engine.url)]
        given = ["--admin-api-key", ADMIN, "--no-access-log", "--decision-headers", "--log-level", "error"]
        program = ["loadtests.harness.tuned", json.dumps(dict(tuning))] if tuning else ["router"]
        super().__init__(port, [*program, "serve", *given, *workers, *flags])
        self._workers = len(engines)

    async def ready(self) -> bool:
        metrics = await self.metrics()
        return bool(metrics) and total(metrics, "warmroute_worker_healthy") >= self._workers

    async def metrics(self) -> dict[str, dict[str, float]]:
        """Samples by name, then by the value of their first label."""
        status, text = await self.call("GET", "/metrics")
        return samples(text) if status == 200 else {}

    async def operate(self, method: str, path: str, body: object = None) -> str:
        """Use the admin API. Raises NotReady when it refuses."""
        headers = {"x-warmroute-admin-key": ADMIN, "content-type": "application/json"}
        status, text = await asyncio.to_thread(call, self.port, method, path, body, headers)
        if not 200 <= status < 300:
            raise NotReady(f"{method} {path}: {status} {text}")
        return text

    async def left_over(self) -> dict[str, float]:
        """The gauges that must be 0 when no request runs. Waits up to 2 s, then returns those that are not 0."""
        left: dict[str, float] = {}
        for _ in range(20):
            metrics = await self.metrics()
            left = {name: total(metrics, name) for name in COUNTS if total(metrics, name)}
            if not left:
                break
            await asyncio.sleep(0.1)
        return left


def samples(text: str) -> dict[str, dict[str, float]]:
    """A metrics page: name -> first label's value (or "") -> sum."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            label = next(iter(sample.labels.values()), "")
            by_label = found.setdefault(sample.name, {})
            by_label[label] = by_label.get(label, 0.0) + sample.value
    return found


def total(metrics: dict[str, dict[str, float]], name: str) -> float:
    """The sum over all labels; 0 when there is none."""
    return sum(metrics.get(name, {}).values())


async def until(condition: Any, limit_s: float, complaint: str) -> float:
    """Wait until the awaited `condition()` holds. Returns the seconds that took; raises NotReady after `limit_s`."""
    began = time.perf_counter()
    while not await condition():
        if time.perf_counter() - began > limit_s:
            raise NotReady(complaint)
        await asyncio.sleep(0.1)
    return time.perf_counter() - began


def call(
    port: int, method: str, path: str, body: object, headers: Mapping[str, str] = MappingProxyType({})
) -> tuple[int, str]:
    """Status and text of a call on this machine; status 0 when nothing answers. `body` is sent as JSON."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        content = {} if body is None else {"content-type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), content | dict(headers))
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)
    finally:
        connection.close()
