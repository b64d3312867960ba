"""Hostile workers behind a whole router: its clients get one well-formed answer each, and nothing behind it.

Clients keep their connection; h11, which follows the standard to the letter, reads every byte that comes over it.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h11
import pytest
import pytest_asyncio

from tests.attacks.hostile_worker import CASE, FLOOD_BYTES, Heard, HostileWorker, Script, chunk, echo
from tests.attacks.probe_cases import PROBED
from tests.attacks.worker_cases import CASES, EVENTS, FRAME, Case
from tests.router.http.raw import post
from tests.router.http.site import CHAT, GOOD
from tests.routers import MODEL, RunningRouter, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVIL = "evil"
HANG_S = 10.0
TAKEN_BYTES = 20 << 20
"""Of a flood: two sockets' buffers of at most 6 MiB each on each side, and what is read at once."""
GROWTH_BYTES = 32 << 20
"""Of the memory of the test's process, in which router and worker are, over any flood."""


STALL_S = 2.0
"""No probe's answer may hold up another request so long, on a busy machine; bounds of work are tested by themselves."""
ENDLESS = Script((EVENTS,), "hang", chunk(FRAME * 1000))


class CutError(Exception):
    """The answer was cut before its end."""


class Seen(NamedTuple):
    """One whole answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Client:
    """One connection to the router, made anew where the last answer ended it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, path: str, model: str, case: str) -> Seen:
        """One request and its answer. Raises CutError; h11.RemoteProtocolError for what is no HTTP."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._http = h11.Connection(h11.CLIENT)
        said = {"model": model, "max_tokens": 1, "stream": True, "input": "hi"}
        body = json.dumps({**said, "messages": [{"role": "user", "content": "hi"}]}).encode()
        headers = [
            ("host", "x"),
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            (CASE, case),
        ]
        http, writer = self._http, self._writer
        events = (h11.Request(method="POST", target=path, headers=headers), h11.Data(data=body), h11.EndOfMessage())
        writer.writelines(http.send(event) or b"" for event in events)
        async with asyncio.timeout(HANG_S):
            return await self._answer()

    async def _answer(self) -> Seen:
        response, body = await self._event(), b""
        assert isinstance(response, h11.Response), response
        while isinstance(event := await self._event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage)
        assert not event.headers, "trailers"
        assert not self._http.trailing_data[0], "bytes behind the end"
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.close()
        return Seen(response.status_code, [(bytes(name), bytes(value)) for name, value in response.headers], body)

    async def _event(self) -> h11.Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            try:
                data = await self._reader.read(1 << 16)
                self._http.receive_data(data)
                if not data:
                    event = self._http.next_event()
                    break
            except (ConnectionError, h11.RemoteProtocolError):
                data = b""
            if not data:
                self.close()
                raise CutError
        assert not isinstance(event, type), event
        return event

    async def quiet(self) -> None:
        """Nothing follows the last answer."""
        if self._writer is not None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005):
                    assert not await self._reader.read(1), "bytes that nobody asked for"
                    raise TimeoutError  # closed: fine as well

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None


@dataclass(frozen=True, slots=True)
class Site:
    """A router, a hostile worker that alone serves EVIL, and a good one that alone serves MODEL."""

    router: RunningRouter
    evil: HostileWorker
    good: HostileWorker

    async def other_is_served(self, client: Client, tag: str) -> None:
        """The good worker's own answer, on whatever connection the client has."""
        answer = await client.ask(CHAT, MODEL, tag)
        assert answer.status == 200
        assert json.loads(answer.body.removeprefix(b"data: "))["case"] == tag

    async def evil_is_served(self, client: Client, tag: str) -> None:
        """The hostile worker is asked again, maybe over the connection on which it misbehaved: its answer is its
        own, or an error where more of the last one came meanwhile."""
        answer = await client.ask(CHAT, EVIL, tag)
        assert answer.status in (200, 502)
        assert answer.status == 502 or json.loads(answer.body.removeprefix(b"data: "))["case"] == tag


def evil_answer(heard: Heard) -> Script:
    if heard.headers[CASE] == "body without end":
        return ENDLESS
    case = CASES.get(heard.headers[CASE])
    return case.script if case is not None else echo(heard)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[Site]:
    async with HostileWorker(EVIL, evil_answer) as evil, HostileWorker(MODEL, echo) as good:
        limits: dict[str, Any] = {
            "first_byte_timeout_s": 0.4,
            "silence_timeout_s": 0.4,
            "health_timeout_s": 1.0,
            "breaker_failures": 10**6,
        }
        async with running_router(evil.url, good.url, **limits) as router:
            yield Site(router, evil, good)


def memory_bytes() -> int:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def checked(client: Client, name: str, case: Case) -> None:
    """One request of this case, and what its client may see."""
    if not case.whole:
        with pytest.raises(CutError):
            await client.ask(case.path, EVIL, name)
        return
    answer = await client.ask(case.path, EVIL, name)
    assert answer.status in case.statuses, answer
    assert case.has in answer.body
    if answer.status >= 500:
        assert json.loads(answer.body)["error"]["message"]
    for header, value in answer.headers:
        assert header not in (b"connection", b"keep-alive", b"x-hop", b"trailer", b"x-flood") or value == b"close"
        assert not (header == b"set-cookie" and b"z" in value), "a header that the worker made another one of"


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("flood")])
async def test_one_answer_for_each_request_and_nothing_behind_it(site: Site, name: str) -> None:
    client, before = Client(site.router.port), len(site.evil.heard)
    await checked(client, name, CASES[name])
    await site.other_is_served(client, f"good after {name!a}")
    await site.evil_is_served(client, f"evil after {name!a}")
    await checked(client, name, CASES[name])
    await site.other_is_served(client, f"good again after {name!a}")
    await client.quiet()
    client.close()
    assert len(site.evil.heard) >= before + 3, "the hostile worker was asked"


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("flood")])
async def test_a_flood_is_cut_off_and_not_kept(site: Site, name: str) -> None:
    client, taken, memory = Client(site.router.port), site.evil.offered, memory_bytes()
    await checked(client, name, CASES[name])
    await site.other_is_served(client, f"good after {name!a}")
    client.close()
    async with asyncio.timeout(HANG_S):  # where the answer was whole, the rest is found later
        while any(worker.running.in_flight for worker in site.router.parts.fleet.workers.values()):
            await asyncio.sleep(0.01)
    assert site.evil.offered - taken < TAKEN_BYTES < FLOOD_BYTES
    assert memory_bytes() - memory < GROWTH_BYTES


async def test_a_client_that_reads_nothing_makes_the_worker_wait(site: Site) -> None:
    taken, memory = site.evil.offered, memory_bytes()
    _, writer = await asyncio.open_connection("127.0.0.1", site.router.port, limit=1 << 16)
    writer.write(post(CHAT, {**GOOD[CHAT], "model": EVIL}, f"{CASE}: body without end"))
    before = -1
    async with asyncio.timeout(HANG_S):
        while before != site.evil.offered:
            before = site.evil.offered
            await asyncio.sleep(0.1)
    assert 0 < site.evil.offered - taken < TAKEN_BYTES < FLOOD_BYTES
    assert memory_bytes() - memory < GROWTH_BYTES
    client = Client(site.router.port)
    await site.other_is_served(client, "beside a client that reads nothing")
    client.close()
    writer.transport.abort()
    await site.router.settles()


@pytest.mark.parametrize("name", PROBED)
async def test_what_probes_are_answered_costs_nobody_else_anything(site: Site, name: str) -> None:
    client, taken, memory = Client(site.router.port), site.evil.offered, memory_bytes()
    worker = next(worker for worker in site.router.parts.fleet.workers.values() if worker.url == site.evil.url)
    site.evil.probed = PROBED[name]
    try:
        probes, longest = site.evil.probes, 0.0
        async with asyncio.timeout(HANG_S):
            while site.evil.probes < probes + 3:
                worker.suspect()
                began = time.monotonic()
                await site.other_is_served(client, f"good beside {name!a}")
                longest = max(longest, time.monotonic() - began)
        assert longest < STALL_S
    finally:
        site.evil.probed = None
    async with asyncio.timeout(HANG_S):
        while (await client.ask(CHAT, EVIL, "well again")).status != 200:  # a look under way may still find it sick
            worker.suspect()
            await asyncio.sleep(0.01)
    assert site.router.parts.fleet.groups.keys() == {EVIL, MODEL}
    client.close()
    assert site.evil.offered - taken < 4 * TAKEN_BYTES
    assert memory_bytes() - memory < GROWTH_BYTES


async def test_afterwards_nothing_is_left_behind(site: Site) -> None:
    await site.router.settles()
    async with asyncio.timeout(HANG_S):
        while not all(worker.available() for worker in site.router.parts.fleet.workers.values()):
            await asyncio.sleep(0.01)
    assert not site.router.parts.watchdog._watches
    assert (await site.router.client.get("/health")).status_code == 200
