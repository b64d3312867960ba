"""`/emulator/*`: routes that no real engine has. Tests and drills use them to look inside, ask for faults, and
restart."""

import dataclasses
import hashlib
from collections import deque
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from loadtests.engine.driver import Engine
from loadtests.engine.errors import Refused
from loadtests.engine.exchange import Exchange
from loadtests.engine.faults import Fault, Faults

LOGGED = 64
"""Requests that are remembered, bodies and all."""


class RequestLog:
    """The last requests, as they arrived."""

    def __init__(self) -> None:
        self.count = 0
        """Requests with a body (POST) since the start."""
        self.departures = 0
        """Requests whose client left before the end of the answer."""
        self._last: deque[Exchange] = deque(maxlen=LOGGED)

    def add(self, exchange: Exchange) -> None:
        self.count += 1
        self._last.append(exchange)

    def entries(self) -> Sequence[dict[str, Any]]:
        """Oldest first. The body only as its length and SHA-256."""
        return [_entry(exchange) for exchange in self._last]


def _entry(exchange: Exchange) -> dict[str, Any]:
    return {
        "method": exchange.method,
        "path": exchange.path,
        "query": exchange.query,
        "target": exchange.target,
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in exchange.headers],
        "body_bytes": len(exchange.body),
        "body_sha256": hashlib.sha256(exchange.body).hexdigest(),
        "nth_request": exchange.nth_request,
        "fault": exchange.fault.kind,
    }


class Control:
    """The emulator's own routes."""

    def __init__(self, engines: Sequence[Engine], faults: Faults, log: RequestLog) -> None:
        self._engines, self._faults, self._log = engines, faults, log

    async def answer(self, exchange: Exchange) -> None:
        """Any `/emulator/...` request. Raises Refused."""
        action = (exchange.method, exchange.path.removeprefix("/emulator/"))
        if action == ("GET", "state"):
            await exchange.answer(200, msgspec.json.encode(self._state()))
        elif action == ("GET", "requests"):
            await exchange.answer(200, msgspec.json.encode(self._log.entries()))
        elif action == ("POST", "fault"):
            self._faults.set(_fault(exchange.body))
            await exchange.answer(200, b"{}")
        elif action == ("POST", "restart"):
            other = _other(exchange.body)
            for engine in self._engines:
                profile = engine.profile
                if other.kv_tokens:
                    profile = dataclasses.replace(profile, kv_tokens=other.kv_tokens)
                engine.restart(profile, other.speed)
            await exchange.answer(200, b"{}")
        else:
            raise Refused(404, "Not Found")

    def _state(self) -> dict[str, Any]:
        entries = self._log.entries()
        ranks = [_counts(engine) for engine in self._engines]
        return {
            **{name: sum(rank[name] for rank in ranks) for name in ranks[0]},
            "ranks": ranks,
            "started_at": self._engines[0].started_at,
            "faults_struck": self._faults.struck,
            "requests": self._log.count,
            "departures": self._log.departures,
            "last": entries[-1] if entries else None,
        }


def _counts(engine: Engine) -> dict[str, int]:
    """The counts of one rank."""
    scheduler, stats = engine.scheduler, engine.stats
    return {
        "running": len(scheduler.running),
        "waiting": len(scheduler.waiting),
        "aborted": stats.aborted,
        "finished": stats.finished,
        "preemptions": scheduler.preemptions,
        "blocks": scheduler.pool.blocks,
        "free_blocks": scheduler.pool.free,
        "evicted_blocks": scheduler.pool.evicted,
        "queried_tokens": scheduler.queried_tokens,
        "hit_tokens": scheduler.hit_tokens,
        "computed_tokens": int(stats.computed_tokens.sum),
    }


class Other(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings that change with a restart; null leaves one as it is."""

    kv_tokens: Annotated[int, msgspec.Meta(gt=0)] | None = None
    speed: Annotated[float, msgspec.Meta(gt=0)] | None = None


def _other(body: bytes) -> Other:
    try:
        return msgspec.json.decode(body or b"{}", type=Other)
    except msgspec.DecodeError as error:
        raise Refused(400, str(error)) from error


def _fault(body: bytes) -> Fault:
    try:
        return msgspec.json.decode(body, type=Fault)
    except msgspec.DecodeError as error:
        raise Refused(400, str(error)) from error
