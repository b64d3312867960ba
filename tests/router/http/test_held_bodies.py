"""What is held of bodies is counted, whoever has asked for it; and nobody's is held who need not send one."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from router.settings import Secret
from tests.router.http.raw import post, wire
from tests.router.http.site import CHAT, GOOD, Site, read_answer, running_site

PART = b"x" * 40_000
CLIENT, ADMIN = "authorization: Bearer key", "authorization: Bearer admin"


def begun(path: str, *headers: str, length: int = 90_000) -> bytes:
    """A request of which the body never becomes whole."""
    lines = [f"POST {path} HTTP/1.1", "host: x", f"content-length: {length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + PART


async def holds(site: Site, held_bytes: int) -> None:
    """Wait until exactly so much is counted."""
    async with asyncio.timeout(5):
        while site.router.parts.body_budget.used_bytes != held_bytes:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("headers", [[], ["expect: 100-continue"], ["connection: upgrade", "upgrade: h2c"]])
async def test_what_came_of_unfinished_bodies_is_counted(headers: list[str]) -> None:
    async with running_site(max_body_bytes=100_000, max_buffered_bytes=100_000, client_timeout_s=10) as site:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(wire(site.router.port)) for _ in range(3)]
            for number, client in enumerate(clients[:2], 1):
                await client.send(begun(CHAT, *headers))
                await holds(site, number * len(PART))
            await clients[2].send(begun(CHAT))
            answer = await read_answer(clients[2])
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            await holds(site, 2 * len(PART))
        await holds(site, 0)
        await site.unharmed()


async def test_what_is_pipelined_ahead_is_counted() -> None:
    async with running_site(max_body_bytes=100_000, max_buffered_bytes=100_000, client_timeout_s=10) as site:
        site.engine.fault("hang_headers")
        good = post(CHAT, GOOD[CHAT])
        body_bytes = len(good.partition(b"\r\n\r\n")[2])
        async with wire(site.router.port) as client:
            await client.send(good + begun(CHAT))
            await holds(site, body_bytes + len(PART))
            await client.send(PART[:20_000])
            await holds(site, body_bytes + len(PART) + 20_000)
            await client.send(PART)
            assert await client.rest() == b""
        site.engine.fault("none")
        await holds(site, 0)
        await site.unharmed()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/health", 405),
        ("/ready", 405),
        ("/metrics", 405),
        ("/v1/models", 405),
        ("/admin/workers", 401),
        ("/admin/explain", 401),
        ("/admin/nothing", 404),
        (CHAT, 401),
        ("/v1/embeddings", 401),
    ],
)
async def test_nothing_is_held_for_who_has_no_key(path: str, status: int) -> None:
    limits = {"max_body_bytes": 100_000, "max_buffered_bytes": 100_000, "header_timeout_s": 10}
    async with running_site(api_keys=(Secret("key"),), **limits) as site, AsyncExitStack() as stack:
        for _ in range(4):
            client = await stack.enter_async_context(wire(site.router.port))
            await client.send(begun(path))
            assert (await read_answer(client)).status == status
            await client.send(PART)
        await holds(site, 0)
        async with wire(site.router.port) as client:
            await client.send(post(CHAT, GOOD[CHAT], CLIENT))
            assert (await read_answer(client)).status == 200


async def test_an_operators_body_is_counted_and_bounded() -> None:
    async with running_site(max_body_bytes=100_000, max_buffered_bytes=100_000, client_timeout_s=10) as site:
        async with wire(site.router.port) as client:
            await client.send(begun("/admin/explain", ADMIN))
            await holds(site, len(PART))
        await holds(site, 0)
        async with wire(site.router.port) as client:
            await client.send(begun("/admin/explain", ADMIN, length=100_001))
            assert (await read_answer(client)).status == 413
        await holds(site, 0)


async def test_a_connection_that_breaks_before_its_request_began_leaves_nothing() -> None:
    async with running_site() as site:
        for _ in range(20):
            async with wire(site.router.port) as client:
                await client.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n" + begun(CHAT) * 3)
                client.writer.transport.abort()
        for _ in range(20):
            async with wire(site.router.port) as client:
                await client.send(begun(CHAT).replace(b"content-length: 90000", b"transfer-encoding: chunked"))
                assert (await read_answer(client)).status == 400
        await holds(site, 0)
        await site.unharmed()


@pytest.mark.parametrize("path", [CHAT, "/health"])
async def test_a_body_that_was_never_asked_for_is_not_waited_for(path: str) -> None:
    """The client waits for leave to send it, gets an answer, and may go on with its next request."""
    async with running_site(api_keys=(Secret("key"),)) as site, wire(site.router.port) as client:
        await client.send(
            f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n".encode()
        )
        answer = await read_answer(client)
        assert answer.status in (401, 405)
        assert answer.headers["connection"] == "close"
        await client.send(post(CHAT, GOOD[CHAT], CLIENT))
        assert await client.rest() == b""
        assert not site.engine.requests()


async def test_requests_that_are_pipelined_by_the_thousand_are_cut() -> None:
    async with running_site() as site:
        async with wire(site.router.port) as client:
            await client.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n" * 2_000)
            assert (await client.rest()).count(b"HTTP/1.1") < 100
        async with wire(site.router.port) as client:
            await client.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n" * 60)
            for _ in range(60):
                assert (await read_answer(client)).status == 200
        await site.unharmed()
