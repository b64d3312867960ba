"""Asks workers for the ids of prompts that cannot be rendered here, beside the requests themselves.

It never slows or fails a request: it asks after dispatch, a few questions at a time for each worker, within a deadline,
and stops asking a worker that fails to answer. The caller gets the ids or None, always through `done`, once.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import httpx

from router.engines import Facts, WorkerAnswerError
from router.engines.ids import IDS_ENDPOINTS, IdsEndpoint, answers, ask, is_absent
from router.fleet.breaker import Breaker, Fault
from router.fleet.worker import Worker
from router.observe.instruments import Counter
from router.tasks import cancel_all
from tokenizer_cache.bodies.request import Request

ASK_TIMEOUT_S: Final = 5.0
"""Seconds after which an answer is not waited for: by then the prompt is mostly computed, and the next turn's decision
is what the tokens are for. Nothing waits for it."""
MAX_AT_ONCE: Final = 4
"""Questions to one worker at a time: rendering takes its server's CPU as the request itself does."""
MAX_ASKED_BYTES: Final = 1 << 20
"""The prompts of longer bodies are compared as text."""

GotIds = Callable[[Sequence[int] | None], None]


@dataclass(slots=True)
class _Answerer:
    """How one worker answers this kind of question."""

    facts: Facts
    breaker: Breaker
    endpoints: tuple[IdsEndpoint, ...]
    """The endpoints that it has not refused, the better one first."""
    running: int = 0


class TokenAsker:
    """Asks, and remembers which worker answers at which endpoint. With `off` no worker is ever asked."""

    def __init__(
        self, client: httpx.AsyncClient, make_breaker: Callable[[], Breaker], count: Counter, off: bool = False
    ) -> None:
        self._client = client
        self._make_breaker = make_breaker
        self._count = count
        self._off = off
        self._answerers: dict[str, _Answerer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await cancel_all(self._tasks)
        await self._client.aclose()

    async def idle(self) -> None:
        """Wait until all questions that run now are answered."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def may_ask(self, workers: Sequence[Worker], request: Request) -> bool:
        """Can one of these workers give the request's ids?"""
        if self._off or len(request.body) > MAX_ASKED_BYTES:
            return False
        return any(self._endpoint(worker, request) is not None for worker in workers)

    def ask(self, worker: Worker, request: Request, done: GotIds) -> None:
        """Ask in the background; `done` gets the ids, or None where the worker does not give them."""
        answerer, endpoint = self._answerer(worker), self._endpoint(worker, request)
        if answerer is None or endpoint is None:
            self._end("unavailable", None, done)
        elif answerer.running >= MAX_AT_ONCE:
            self._end("busy", None, done)
        else:
            task = asyncio.create_task(self._ask(worker.url, answerer, endpoint, request, done))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(self, url: str, answerer: _Answerer, endpoint: IdsEndpoint, request: Request, done: GotIds) -> None:
        answerer.running += 1
        answerer.breaker.begin()
        try:
            ids = await ask(self._client, url, endpoint, request)
        except WorkerAnswerError as error:
            self._end(self._failed(answerer, endpoint, error), None, done)
        else:
            answerer.breaker.success()
            self._end("told", ids, done)
        finally:
            answerer.running -= 1

    def _failed(self, answerer: _Answerer, endpoint: IdsEndpoint, error: WorkerAnswerError) -> str:
        if is_absent(error):
            answerer.breaker.success()
            answerer.endpoints = tuple(other for other in answerer.endpoints if other != endpoint)
            return "unavailable"
        if 400 <= error.status < 500:
            answerer.breaker.success()
            return "refused"
        answerer.breaker.failure(Fault.TIMEOUT)
        return "failed"

    def _endpoint(self, worker: Worker, request: Request) -> IdsEndpoint | None:
        answerer = self._answerer(worker)
        if answerer is None or not worker.healthy or not answerer.breaker.allow():
            return None
        engine = answerer.facts.engine
        return next((endpoint for endpoint in answerer.endpoints if answers(engine, endpoint, request)), None)

    def _answerer(self, worker: Worker) -> _Answerer | None:
        """The worker's answerer. It is made again when the facts change: a restarted server may have other options."""
        facts = worker.facts
        if facts is None:
            return None
        known = self._answerers.get(worker.id)
        if known is None or (known.facts is not facts and known.facts != facts):
            endpoints = IDS_ENDPOINTS.get(facts.engine, ())
            known = self._answerers[worker.id] = _Answerer(facts, self._make_breaker(), endpoints)
        return known

    def _end(self, outcome: str, ids: Sequence[int] | None, done: GotIds) -> None:
        self._count.add(1, (outcome,))
        done(ids)
