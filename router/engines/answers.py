"""Asks a worker's control endpoints and reads the answers, trusting none of them.

Whatever comes back (HTML, half a body, gigabytes, one byte a second, wrong types) ends as a value or as one
WorkerAnswerError with a short reason that is fit for a log line: no body text is in it. The client's read timeout is
the limit for the whole answer, not for each read.
"""

import asyncio
from collections.abc import Iterator
from enum import Enum
from typing import TypeVar

import httpx
import msgspec

from router.certificates import WorkerTls
from router.dial import CheckedTransport, Resolver
from router.engines.api import ModelCard
from router.exposition import Sample, Wanted

MAX_ANSWER_BYTES = 8 << 20
"""A fleet's largest honest /metrics stays far below; an answer without end must not fill the memory."""
INLINE_BYTES = 256 << 10
"""Metrics up to this size are read at once (0.6 ms); larger ones in a thread, so that the event loop keeps turning."""

_Answer = TypeVar("_Answer")


class Fault(Enum):
    """What kind of failure an answer was."""

    REFUSED = "refused"
    """Nothing listens there: the process is gone."""
    NO_ANSWER = "no_answer"
    """Timeout, reset, DNS, TLS: no usable HTTP answer; may pass."""
    STATUS = "status"
    """An HTTP status other than 2xx."""
    CONTENT = "content"
    """2xx, but not what was asked for."""


class WorkerAnswerError(Exception):
    """A worker did not answer a control request as it should. `str()` is a short reason without any body text."""

    def __init__(self, path: str, reason: str, fault: Fault, status: int = 0) -> None:
        super().__init__(reason if fault is Fault.REFUSED else f"{path.partition('?')[0]}: {reason}")
        self.fault = fault
        self.status = status


def control_client(
    timeout_s: float, api_key: str = "", tls: WorkerTls | None = None, resolver: Resolver | None = None
) -> httpx.AsyncClient:
    """The client for control requests to all workers; the caller closes it. It dials what `resolver` lets through.

    `timeout_s` bounds a whole answer. Connections are not kept: with 1,000 workers httpx looks at every idle one for
    each request, which costs more than a new connection; and a new one also proves that the worker still accepts."""
    headers = {"accept-encoding": "identity"}
    if api_key:
        headers["authorization"] = f"Bearer {api_key}"
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    transport: httpx.AsyncBaseTransport = httpx.AsyncHTTPTransport(
        verify=tls.context if tls else True, trust_env=False, limits=limits
    )
    if resolver is not None:
        transport = CheckedTransport(transport, resolver, tls.name if tls else "")
    return httpx.AsyncClient(
        headers=headers, timeout=timeout_s, transport=transport, trust_env=False, follow_redirects=False
    )


async def fetch(client: httpx.AsyncClient, url: str, path: str, sent: bytes | None = None) -> bytes:
    """The body of `GET url + path`; with `sent`, JSON, that of a POST. Raises WorkerAnswerError."""
    method, headers = ("GET", None) if sent is None else ("POST", {"content-type": "application/json"})
    try:
        async with (
            asyncio.timeout(client.timeout.read),
            client.stream(method, url.rstrip("/") + path, content=sent, headers=headers) as response,
        ):
            return await _body(response, path)
    except (TimeoutError, httpx.TimeoutException):
        raise WorkerAnswerError(path, "no answer in time", Fault.NO_ANSWER) from None
    except (httpx.HTTPError, httpx.InvalidURL, ExceptionGroup) as error:  # a group: for a port over 65,535
        fault = Fault.REFUSED if any(isinstance(e, ConnectionRefusedError) for e in _causes(error)) else Fault.NO_ANSWER
        reason = "connection refused" if fault is Fault.REFUSED else f"no answer ({type(error).__name__})"
        raise WorkerAnswerError(path, reason, fault) from error


async def fetch_json(client: httpx.AsyncClient, url: str, path: str, shape: type[_Answer]) -> _Answer:
    """The JSON answer as `shape`; unknown fields are ignored. Raises WorkerAnswerError."""
    body = await fetch(client, url, path)
    try:
        return msgspec.json.decode(body, type=shape, strict=False)
    except msgspec.ValidationError as error:
        raise WorkerAnswerError(path, f"unexpected JSON: {error}"[:200], Fault.CONTENT) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise WorkerAnswerError(path, "not JSON", Fault.CONTENT) from None


async def fetch_samples(client: httpx.AsyncClient, url: str, path: str, wanted: Wanted) -> list[Sample]:
    """The wanted samples of a page of metrics; none when the page is something else. Raises WorkerAnswerError."""
    body = await fetch(client, url, path)
    text = body.decode(errors="replace")
    page = wanted.read(text) if len(body) <= INLINE_BYTES else await asyncio.to_thread(wanted.read, text)
    return page.samples


class _Card(msgspec.Struct):
    id: str
    root: str | None = None
    parent: str | None = None
    max_model_len: int | None = None
    owned_by: str | None = None


class _Models(msgspec.Struct):
    data: list[_Card]


class Models(msgspec.Struct, frozen=True):
    """`/v1/models`: what a worker serves, and what its server calls itself."""

    cards: tuple[ModelCard, ...]
    owners: frozenset[str]


async def fetch_models(client: httpx.AsyncClient, url: str) -> Models:
    """At least one model. Raises WorkerAnswerError."""
    path = "/v1/models"
    listed = (await fetch_json(client, url, path, _Models)).data
    cards = tuple(
        ModelCard(card.id, card.root or card.id, card.parent or "", max(0, card.max_model_len or 0))
        for card in listed
        if card.id
    )
    if not cards:
        raise WorkerAnswerError(path, "no model is served", Fault.CONTENT)
    return Models(cards, frozenset(card.owned_by or "" for card in listed))


async def _body(response: httpx.Response, path: str) -> bytes:
    status = response.status_code
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise WorkerAnswerError(path, f"HTTP {status}: the worker wants another API key", Fault.STATUS, status)
    if not response.is_success:
        raise WorkerAnswerError(path, f"HTTP {status}", Fault.STATUS, status)
    if response.headers.get("content-encoding", "identity") != "identity":
        raise WorkerAnswerError(path, "compressed, though asked not to be", Fault.CONTENT, status)
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise WorkerAnswerError(path, f"over {MAX_ANSWER_BYTES} bytes", Fault.CONTENT, status)
    return bytes(body)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, all that led to it, and every member of a group (one per address that was tried)."""
    todo = [error]
    seen: set[int] = set()
    while todo:
        cause = todo.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        todo += [e for e in (cause.__cause__, cause.__context__) if e is not None]
        if isinstance(cause, BaseExceptionGroup):
            todo += cause.exceptions
