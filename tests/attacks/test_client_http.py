"""Whatever bytes a client sends, a worker gets no request, or one that every parser reads alike: the client's own.

Each case is one connection to a real router in front of a recording worker, with and without tracing and keys. It ends
with a question for the router's health, so that an answer too many or too few, or one that is out of step, is seen.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import h11
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings

from router.settings import Secret
from tests.attacks.http_cases import AUTHORIZED, BODY, KEY, SMUGGLED, Case, request
from tests.attacks.http_framing import framing_cases
from tests.attacks.http_heads import head_cases
from tests.attacks.readings import MisreadError, Reading, read_alike
from tests.attacks.recording_worker import RecordingWorker
from tests.router.http.raw import wire
from tests.router.http.test_fuzz import ODD_BYTES, damaged
from tests.router.observe.test_tracing import Collector, collecting
from tests.routers import RunningRouter, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")
CASES = [*head_cases(), *framing_cases()]
LAST = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
HANG_S = 15.0
OWN = {b"host", b"content-length", b"x-request-id", b"traceparent", b"authorization"}
"""Headers that the router writes itself."""
HOPS = {b"connection", b"transfer-encoding", b"te", b"upgrade", b"trailer", b"keep-alive", b"expect"}
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "keys": {"api_keys": (Secret(KEY),), "worker_api_key": Secret("worker")},
    "tracing": {},
    "tracing and keys": {"api_keys": (Secret(KEY),)},
}


@dataclass(frozen=True, slots=True)
class Range:
    """A router, and the worker that records what gets through."""

    router: RunningRouter
    worker: RecordingWorker

    async def try_(self, data: bytes) -> tuple[bytes, list[bytes]]:
        """What the client was answered, until the connection was closed; and what reached the worker."""
        async with asyncio.timeout(HANG_S), wire(self.router.port) as client:
            await client.send(data + LAST)
            try:
                said = await client.reader.read()
            except ConnectionError:  # closed by the router while bytes were still coming
                said = b""
        return said, self.worker.take()


@asynccontextmanager
async def shooting_range(collector: Collector, config: str) -> AsyncIterator[Range]:
    changes: dict[str, Any] = {
        "header_timeout_s": 0.5,
        "client_timeout_s": 0.5,
        "keepalive_timeout_s": 1.0,
        "max_body_bytes": 400_000,
    }
    if "tracing" in config:
        changes |= {"otlp_endpoint": collector.url, "trace_sample": 0.0}
    changes |= SETTINGS[config]
    async with RecordingWorker() as worker, running_router(worker.url, **changes) as router:
        yield Range(router, worker)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ranges() -> AsyncIterator[dict[str, Range]]:
    async with AsyncExitStack() as stack:
        collector = stack.enter_context(collecting())
        yield {config: await stack.enter_async_context(shooting_range(collector, config)) for config in SETTINGS}


async def test_there_are_many_and_no_two_are_the_same() -> None:
    assert len({case.data for case in CASES}) == len(CASES) >= 300


@pytest.mark.parametrize("config", SETTINGS)
async def test_nothing_reaches_a_worker_that_could_be_read_otherwise(ranges: dict[str, Range], config: str) -> None:
    here = ranges[config]
    wrong = []
    for case in CASES:
        try:
            check(case, *await here.try_(case.data))
        except (AssertionError, MisreadError, h11.RemoteProtocolError, TimeoutError) as error:
            wrong.append(f"{case.name}: {type(error).__name__} {str(error)[:300]}")
    assert not wrong, f"{len(wrong)} of {len(CASES)}:\n" + "\n".join(wrong)
    await unharmed(here)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=damaged([case.data for case in CASES if len(case.data) < 2_000], ODD_BYTES))
async def test_damaged_attacks(ranges: dict[str, Range], data: bytes) -> None:
    check(Case("damaged", data), *await ranges["tracing"].try_(data))


GOOD = request()
EARLY = request(body=b" " * 400_001)


@pytest.mark.parametrize(
    ("data", "statuses", "served"),
    [
        (request(body=b"{}") + GOOD, [400, 200, 200], 1),
        (request(body=b"[") + GOOD * 2, [400, 200, 200, 200], 2),
        (EARLY + GOOD, [413, 200, 200], 1),
        (GOOD + EARLY + GOOD, [200, 413, 200, 200], 2),
        (GOOD.replace(KEY.encode(), b"bad") + GOOD, [401, 200, 200], 1),
        (request(line=b"TRACE /v1/embeddings HTTP/1.1") + GOOD, [405, 200, 200], 1),
        (SMUGGLED + GOOD, [401, 200, 200], 1),
        (SMUGGLED.replace(b"host: x", AUTHORIZED + b"\r\nhost: x") + GOOD, [404, 200, 200], 1),
        (request(b"content-type: x") + GOOD, [400, 200, 200], 1),
        (request(b"x-a: \x01") + GOOD, [400], 0),
        (GOOD.replace(b"host: x\r\n", b"") + GOOD, [400], 0),
        (request(b"transfer-encoding: chunked") + GOOD, [400], 0),
        (request(b"expect: 100-continue", body=b"[") + GOOD, [400, 200, 200], 1),
        (GOOD + b"\x16" + GOOD, [200], 1),
        (GOOD + GOOD.replace(b"host: x", b"host: x\r\nhost: x") + GOOD, [200], 1),
    ],
)
async def test_what_is_pipelined_behind_a_refused_request(
    ranges: dict[str, Range], data: bytes, statuses: list[int], served: int
) -> None:
    """Is answered in order and by itself where the refused one has an end; else nothing follows."""
    here = ranges["tracing and keys"]
    said, seen = await here.try_(data)
    assert [answer.status for answer in answers(said, [b"GET"] * 9)] == statuses
    assert [read_alike(record).body for record in seen] == [BODY] * served
    await unharmed(here)


async def unharmed(here: Range) -> None:
    await here.router.settles()
    said, seen = await here.try_(request())
    assert [answer.status for answer in answers(said, [b"POST", b"GET"])] == [200, 200]
    assert len(seen) == 1


def check(case: Case, said: bytes, seen: list[bytes]) -> None:
    """One case's answers, and what its worker got."""
    readings = [read_alike(record) for record in seen]
    for record, reading in zip(seen, readings, strict=True):
        check_request(case, record, reading)
    methods = [b"HEAD" if case.data.startswith(b"HEAD ") else b"GET"] + [b"GET"] * 100
    told = [answer.status for answer in answers(said, methods)]
    assert not [status for status in told if status >= 500 and status != 501], told
    served = told.count(200) - (len(told) > 0 and b'{"status":"ok"}' in said)
    assert served == len(readings), (told, said)
    if case.fate == "served":
        assert (told[0], len(readings)) == (200, 1), (told, said)
    if case.fate == "refused":
        assert not readings, seen
        assert told[:1] >= [400], (told, said)


def check_request(case: Case, record: bytes, reading: Reading) -> None:
    """What a worker got is framed by one length, and all of it was the client's own."""
    names = [name for name, _ in reading.headers]
    path, _, query = reading.target.partition(b"?")
    assert path.startswith(b"/v1/") and query in case.data, reading.target
    assert names.count(b"content-length") <= 1 and names.count(b"host") == 1
    assert names.count(b"x-request-id") == 1 and HOPS.isdisjoint(names)
    lengths = [value for name, value in reading.headers if name == b"content-length"]
    assert lengths == [b"%d" % len(reading.body)] or (not lengths and not reading.body)
    lines = {line.strip(b" \t") for line in case.data.split(b"\r\n")}
    for name, value in reading.headers:
        mine = [line.partition(b":") for line in lines if line.partition(b":")[0].lower() == name]
        assert name in OWN or value in [text.strip(b" \t") for _, _, text in mine], (name, value)
    assert reading.body in case.data or b"transfer-encoding" in case.data.lower()
    assert SMUGGLED not in record or SMUGGLED in reading.body


class Answer:
    """One answer, as h11 reads it."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body


def answers(said: bytes, methods: list[bytes]) -> list[Answer]:
    """All answers on a connection; fails where they are no HTTP."""
    found: list[Answer] = []
    for method in methods:
        if not said:
            return found
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        parser.send(h11.EndOfMessage())
        parser.receive_data(said)
        answer, body = parser.next_event(), b""
        while isinstance(answer, h11.InformationalResponse):
            answer = parser.next_event()
        assert isinstance(answer, h11.Response), (answer, said)
        while type(event := parser.next_event()) is h11.Data:
            body += event.data
        assert type(event) is h11.EndOfMessage, (event, said)
        found.append(Answer(answer.status_code, body))
        said = bytes(parser.trailing_data[0])
    assert not said, "more answers than requests"
    return found
