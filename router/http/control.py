"""The control plane: health, metrics, models and the admin API, served by FastAPI behind the hot path.

Nothing here is on a request's way to a worker. The admin API has a key of its own, and none without it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from router.clients import Clients
from router.clients.keys import KeySet
from router.dial.allow import MAX_URL, BadUrlError, NotAllowedError
from router.fleet.worker import Worker, WorkerState
from router.fleet.workers import DuplicateWorkerError, Fleet, UnknownWorkerError
from router.http.explain import Explainer
from router.http.status_route import add_status
from router.members.entry import Standing
from router.members.membership import Membership
from router.status.status import StatusParts
from router.status.workers import describe
from router.wire.errors import ApiError, error_body
from router.wire.routes import PROMPT_ROUTES

IDLE_LOOK_S = 0.1


class NewWorker(BaseModel):
    """Body of `POST /admin/workers`."""

    url: str = Field(max_length=MAX_URL)
    """As the setting `worker` takes it, and as `worker_allow` allows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlState:
    """The state that the control plane reads and may change."""

    members: Membership
    page: Callable[[], Awaitable[bytes]]
    """Makes the metrics page, off the event loop."""
    clients: Clients
    admin_keys: KeySet
    draining: Callable[[], bool]
    explainer: Explainer
    decided: Callable[[Worker, Standing, bool], None]
    """Called with each decision made here about a worker, and whether it was added here."""
    spread_s: float
    """Seconds until other routers know of a decision."""
    started_at: int
    status: StatusParts
    open_status: bool
    """The status needs no key."""

    @property
    def fleet(self) -> Fleet:
        """The workers."""
        return self.members.fleet


def control_app(state: ControlState) -> FastAPI:
    """The application. Errors have the same shape as on the hot path."""
    app = FastAPI(title="Warmroute", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    _add_pages(app, state)
    _add_admin(app, state)
    app.exception_handler(ApiError)(_api_error)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(RequestValidationError)(_validation_error)
    return app


def _add_pages(app: FastAPI, state: ControlState) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """The process is alive and its event loop runs."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """At least one healthy worker, and not draining."""
        workers = state.fleet.workers.values()
        healthy = sum(worker.state is WorkerState.HEALTHY for worker in workers)
        up = healthy > 0 and not state.draining()
        found = {"status": "ready" if up else "not ready", "healthy_workers": healthy}
        alarms = Counter(kind for worker in workers for kind in worker.alarms)
        return JSONResponse({**found, "alarms": alarms} if alarms else found, 200 if up else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Prometheus text format for all processes, rendered off the event loop."""
        return Response(await state.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        """Every model and adapter that a worker serves and this client may use."""
        return {"object": "list", "data": [_card(state, name) for name in _usable(state, request)]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str, request: Request) -> dict[str, Any]:
        """One of them."""
        if name not in _usable(state, request):
            raise ApiError(404, "The model does not exist here.", "model_not_found", "model")
        return _card(state, name)


def _usable(state: ControlState, request: Request) -> list[str]:
    """The models that this client may use. Raises ApiError 401."""
    client = state.clients.find(_credentials(request))
    if client is None or client.expired(time.time()):
        raise ApiError(401, "Incorrect API key provided.", "invalid_api_key")
    return [name for name in state.fleet.groups if client.may_use(name)]


def _card(state: ControlState, name: str) -> dict[str, Any]:
    group = state.fleet.groups[name]
    return {
        "id": name,
        "object": "model",
        "created": state.started_at,
        "owned_by": "warmroute",
        "root": group.root,
        "parent": group.base if group.base != name else None,
        "max_model_len": group.max_model_len or None,
    }


def _guard(state: ControlState) -> list[Any]:
    """The dependency that checks the admin key."""

    async def admin(request: Request) -> None:
        _exists(state)
        offered = request.headers.get("x-warmroute-admin-key", "").encode() or _credentials(request)
        if not state.admin_keys.accepts(offered):
            raise ApiError(401, "Incorrect admin key provided.", "invalid_api_key")

    return [Depends(admin)]


def _exists(state: ControlState) -> None:
    if not state.admin_keys:
        raise ApiError(403, "There is no admin API: no admin key is set.", "admin_disabled")


def _add_admin(app: FastAPI, state: ControlState) -> None:
    guarded = _guard(state)
    add_status(app, state.status, guarded, None if state.open_status else partial(_exists, state))

    @app.get("/admin/workers", dependencies=guarded)
    async def workers() -> dict[str, Any]:
        """All workers with state and load."""
        return {"workers": [describe(worker) for worker in state.fleet.workers.values()]}

    @app.post("/admin/workers", dependencies=guarded, status_code=201)
    async def add(new: NewWorker) -> dict[str, Any]:
        """Add a worker; it gets requests once a probe has found it healthy."""
        try:
            worker = state.members.join(new.url, "admin")
        except BadUrlError as error:
            raise ApiError(400, f"The URL {error}.", "invalid_request", "url") from None
        except NotAllowedError as error:
            raise ApiError(403, f"The URL {error}.", "worker_not_allowed", "url") from None
        except DuplicateWorkerError:
            raise ApiError(409, "A worker with this URL is there already.", "duplicate_worker", "url") from None
        state.decided(worker, Standing.PRESENT, True)
        return describe(worker)

    @app.delete("/admin/workers/{worker_id}", dependencies=guarded)
    async def remove(worker_id: str) -> dict[str, Any]:
        """Remove a worker; requests that run there finish."""
        worker = _known(lambda: state.members.leave(worker_id))
        state.decided(worker, Standing.REMOVED, False)
        return describe(worker)

    _add_drain(app, state, guarded)

    @app.post("/admin/explain", dependencies=guarded)
    async def explain_request(request: Request, path: str = "/v1/chat/completions") -> dict[str, Any]:
        """A request's body in; per candidate cached tokens, load, cost, and the reason out. Nothing is sent."""
        if path not in PROMPT_ROUTES:
            raise ApiError(400, f"path must be one of {', '.join(PROMPT_ROUTES)}.", "invalid_request", "path")
        return await state.explainer.explain(PROMPT_ROUTES[path], await request.body())


def _add_drain(app: FastAPI, state: ControlState, guarded: list[Any]) -> None:
    @app.post("/admin/workers/{worker_id}/drain", dependencies=guarded)
    async def drain(worker_id: str, wait_s: float = 0.0) -> dict[str, Any]:
        """Give the worker no new requests. With `wait_s`, answer when none runs there any more, or after `wait_s`
        seconds."""
        worker = _known(lambda: state.fleet.drain(worker_id))
        state.decided(worker, Standing.DRAINING, False)
        if wait_s > 0:
            await _idle(worker, min(wait_s, 3600.0), state.spread_s)
        return describe(worker)

    @app.post("/admin/workers/{worker_id}/undrain", dependencies=guarded)
    async def undrain(worker_id: str) -> dict[str, Any]:
        """Take it back into service."""
        worker = _known(lambda: state.fleet.drain(worker_id, draining=False))
        state.decided(worker, Standing.PRESENT, False)
        return describe(worker)


async def _idle(worker: Worker, wait_s: float, spread_s: float) -> None:
    """Wait until no request of any router runs on the worker's server."""
    idle, ranks = asyncio.Event(), tuple(worker.ranks)
    for rank in ranks:
        rank.on_idle.append(idle.set)
    try:
        async with asyncio.timeout(wait_s):
            await asyncio.sleep(spread_s)
            while any(rank.running.in_flight for rank in ranks):
                idle.clear()
                await idle.wait()
            while any(_elsewhere(rank) for rank in ranks):  # noqa: ASYNC110
                await asyncio.sleep(IDLE_LOOK_S)  # what others have is read once a second
    except TimeoutError:
        pass
    finally:
        for rank in ranks:
            rank.on_idle.remove(idle.set)


def _elsewhere(worker: Worker) -> int:
    return worker.elsewhere(time.monotonic()).in_flight if worker.elsewhere is not None else 0


def _known(find: Callable[[], Worker]) -> Worker:
    try:
        return find()
    except UnknownWorkerError:
        raise ApiError(404, "There is no worker with this id.", "unknown_worker", "worker_id") from None


def _credentials(request: Request) -> bytes:
    return (request.headers.get("authorization") or request.headers.get("x-api-key") or "").encode()


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    body = error_body("openai", error.status, error.message, error.code, error.param)
    return Response(body, error.status, media_type="application/json")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Response(
        error_body("openai", error.status_code, str(error.detail)), error.status_code, media_type="application/json"
    )


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    param = ".".join(str(part) for part in first.get("loc", ())[1:]) or None
    body = error_body("openai", 400, str(first.get("msg", "The request is not valid.")), "invalid_request", param)
    return Response(body, 400, media_type="application/json")
