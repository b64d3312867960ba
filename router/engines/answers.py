"""Asks a worker's control endpoints and reads the answers, without trusting them.

Every answer (HTML, half a body, gigabytes, one byte a second, wrong types) becomes a value within bounds or one
WorkerAnswerError with a short reason for the log, which never holds text of the body. The client's read timeout is the
limit for the whole answer, not for each read.
"""

import asyncio
from enum import Enum
from typing import Any, TypeVar

import httpx
import msgspec

from router.dial.certificates import WorkerTls
from router.dial.own_faults import causes, is_own_fault
from router.dial.resolver import CheckedTransport, Resolver
from router.engines.engine import ModelCard
from router.engines.prometheus_text import Sample, Wanted
from router.engines.slices import SlicedBackend

MAX_ANSWER_BYTES = 8 << 20
"""The largest honest /metrics page is far smaller; an endless answer must not fill the memory."""
MAX_JSON_BYTES = 2 << 20
"""JSON is read in one go, on the event loop."""
FREE_PIECES = 1000
MIN_PIECE_BYTES = 256
"""Smallest allowed average size of a piece, beyond the first thousand: each piece costs the HTTP client some 30 us."""
MAX_MODELS = 4096
"""Models of one worker, adapters included."""
MAX_NAME_CHARS = 256
MAX_PATH_CHARS = 1024
MAX_MODEL_LEN = 1 << 27
INLINE_BYTES = 256 << 10
"""Metrics up to this size are read at once (0.6 ms); larger ones in a thread, so that the event loop keeps turning."""

_Answer = TypeVar("_Answer")


class AnswerFault(Enum):
    """The kinds of failed answers."""

    REFUSED = "refused"
    """Nothing listens on the port: the process is gone."""
    NO_ANSWER = "no_answer"
    """No usable HTTP answer (timeout, reset, DNS, TLS). This may be temporary."""
    OWN = "own"
    """No request was sent: the router has no file or port left for a connection."""
    STATUS = "status"
    """An HTTP status other than 2xx."""
    CONTENT = "content"
    """A 2xx answer with the wrong content."""


NO_ANSWERS = frozenset({AnswerFault.REFUSED, AnswerFault.NO_ANSWER, AnswerFault.OWN})


class WorkerAnswerError(Exception):
    """A worker did not answer a control request properly. `str()` is a short reason without any text of the body."""

    def __init__(self, path: str, reason: str, fault: AnswerFault, status: int = 0) -> None:
        super().__init__(reason if fault is AnswerFault.REFUSED else f"{path.partition('?')[0]}: {reason}")
        self.fault = fault
        self.status = status


class _NoCookies(httpx.Cookies):
    """Takes none. A jar would grow with every answer, and give one worker's cookies to another on the same host."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """See httpx.Cookies, which takes 5 % of a whole probe for it even where there are none."""


def control_client(
    timeout_s: float, api_key: str = "", tls: WorkerTls | None = None, resolver: Resolver | None = None
) -> httpx.AsyncClient:
    """The HTTP client for control requests to all workers; the caller closes it. It dials only what `resolver` allows.

    `timeout_s` bounds a whole answer. Connections are not kept: with 1,000 workers httpx looks at every idle one for
    each request, which costs more than a new connection; and a new one also proves that the worker still accepts."""
    headers = {"accept-encoding": "identity"}
    if api_key:
        headers["authorization"] = f"Bearer {api_key}"
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    plain_transport = httpx.AsyncHTTPTransport(verify=tls.context if tls else True, trust_env=False, limits=limits)
    pool: Any = plain_transport._pool
    pool._network_backend = SlicedBackend(pool._network_backend)
    transport: httpx.AsyncBaseTransport = plain_transport
    if resolver is not None:
        transport = CheckedTransport(transport, resolver, tls.name if tls else "")
    client = httpx.AsyncClient(
        headers=headers, timeout=timeout_s, transport=transport, trust_env=False, follow_redirects=False
    )
    client._cookies = _NoCookies()  # the setter would copy them into a jar
    return client


async def fetch(
    client: httpx.AsyncClient, url: str, path: str, sent: bytes | None = None, most: int = MAX_ANSWER_BYTES
) -> bytes:
    """The body of `GET url + path`, of at most `most` bytes. With `sent` (JSON) the request is a POST. Raises
    WorkerAnswerError."""
    method, headers = ("GET", None) if sent is None else ("POST", {"content-type": "application/json"})
    try:
        async with (
            asyncio.timeout(client.timeout.read),
            client.stream(method, url.rstrip("/") + path, content=sent, headers=headers) as response,
        ):
            return await _body(response, path, most)
    except (TimeoutError, httpx.TimeoutException):
        raise WorkerAnswerError(path, "no answer in time", AnswerFault.NO_ANSWER) from None
    except (httpx.HTTPError, httpx.InvalidURL, ExceptionGroup) as error:  # a port over 65,535 raises a group
        fault = _fault_of(error)
        reason = "connection refused" if fault is AnswerFault.REFUSED else f"no answer ({type(error).__name__})"
        raise WorkerAnswerError(path, reason, fault) from error


def _fault_of(error: BaseException) -> AnswerFault:
    if is_own_fault(error):
        return AnswerFault.OWN
    return (
        AnswerFault.REFUSED
        if any(isinstance(e, ConnectionRefusedError) for e in causes(error))
        else AnswerFault.NO_ANSWER
    )


async def fetch_json(client: httpx.AsyncClient, url: str, path: str, shape: type[_Answer]) -> _Answer:
    """The JSON answer as `shape`; unknown fields are ignored. Raises WorkerAnswerError."""
    body = await fetch(client, url, path, most=MAX_JSON_BYTES)
    try:
        return msgspec.json.decode(body, type=shape, strict=False)
    except msgspec.ValidationError as error:
        raise WorkerAnswerError(path, f"unexpected JSON: {error}"[:200], AnswerFault.CONTENT) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise WorkerAnswerError(path, "not JSON", AnswerFault.CONTENT) from None


async def fetch_samples(client: httpx.AsyncClient, url: str, path: str, wanted: Wanted) -> list[Sample]:
    """The wanted samples of a page of metrics; empty when it is no such page. Raises WorkerAnswerError."""
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
    data: list[msgspec.Raw]


class Models(msgspec.Struct, frozen=True):
    """`/v1/models`: the models that a worker serves, and the name that its server gives itself."""

    cards: tuple[ModelCard, ...]
    owners: frozenset[str]


async def fetch_models(client: httpx.AsyncClient, url: str) -> Models:
    """At least one model. A model whose name cannot be logged is left out. Raises WorkerAnswerError."""
    path = "/v1/models"
    listed = (await fetch_json(client, url, path, _Models)).data
    if len(listed) > MAX_MODELS:
        raise WorkerAnswerError(path, f"over {MAX_MODELS} models", AnswerFault.CONTENT)
    try:
        read = [msgspec.json.decode(card, type=_Card, strict=False) for card in listed]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise WorkerAnswerError(path, "an entry that is no model", AnswerFault.CONTENT) from None
    cards = tuple(_model_card(card) for card in read if plain(card.id, MAX_NAME_CHARS))
    if not cards:
        raise WorkerAnswerError(path, "no model is served", AnswerFault.CONTENT)
    return Models(cards, frozenset(plain(card.owned_by, MAX_NAME_CHARS) for card in read))


def _model_card(card: _Card) -> ModelCard:
    root, parent = plain(card.root, MAX_PATH_CHARS), plain(card.parent, MAX_NAME_CHARS)
    return ModelCard(card.id, root or card.id, parent, within(card.max_model_len, MAX_MODEL_LEN))


def plain(text: object, most: int) -> str:
    """`text` if it has at most `most` characters, all printable; else empty, as if the worker had not said it."""
    return text if isinstance(text, str) and len(text) <= most and text.isprintable() else ""


def within(number: int | None, most: int) -> int:
    """`number` if it is 0 to `most`; else 0, as if the worker had not said it."""
    return number if number is not None and 0 <= number <= most else 0


async def _body(response: httpx.Response, path: str, most: int) -> bytes:
    status = response.status_code
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise WorkerAnswerError(path, f"HTTP {status}: the worker wants another API key", AnswerFault.STATUS, status)
    if not response.is_success:
        raise WorkerAnswerError(path, f"HTTP {status}", AnswerFault.STATUS, status)
    if response.headers.get("content-encoding", "identity") != "identity":
        raise WorkerAnswerError(path, "compressed, although the request forbids it", AnswerFault.CONTENT, status)
    body = bytearray()
    pieces = 0
    async for chunk in response.aiter_raw():
        body += chunk
        pieces += 1
        if len(body) > most:
            raise WorkerAnswerError(path, f"over {most} bytes", AnswerFault.CONTENT, status)
        if (pieces - FREE_PIECES) * MIN_PIECE_BYTES > len(body):
            raise WorkerAnswerError(path, "in too many pieces", AnswerFault.CONTENT, status)
    return bytes(body)
