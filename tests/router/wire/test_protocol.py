"""What a client may send before, beside and after a request: nothing of it is taken for something else."""

import asyncio
import json

import pytest

from router.settings import Secret
from router.wire.protocol import GuardedProtocol
from tests.router.http.raw import post, wire
from tests.router.http.site import CHAT, GOOD, MAX_BODY_BYTES, MESSAGES, Site, read_answer, running_site

pytestmark = pytest.mark.asyncio(loop_scope="module")
HEAD = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
BODY = json.dumps(GOOD[CHAT]).encode()
LONG = b" " * 300_000
"""More than the router has read when it answers early."""


def chunks(*trailers: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(BODY), BODY, b"".join(line + b"\r\n" for line in trailers))


async def test_trailers_are_no_headers(site: Site) -> None:
    async with wire(site.router.port) as client:
        trailers = chunks(b"x-request-id: forged", b"x-evil: 1", b"authorization: Bearer forged")
        await client.send(f"{HEAD}transfer-encoding: chunked\r\n\r\n".encode() + trailers)
        answer = await read_answer(client)
        assert answer.status == 200
        seen = dict(site.engine.requests()[-1]["headers"])
        assert not {"x-evil", "authorization"} & set(seen)
        assert "forged" not in (seen["x-request-id"], answer.headers["x-request-id"])
    await site.unharmed()


@pytest.mark.parametrize("split", [1, 10, 10_000], ids=["byte by byte", "in tens", "at once"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_the_body_behind_an_offer_to_upgrade_is_read(site: Site, split: int, framing: str) -> None:
    frame, body = f"content-length: {len(BODY)}", BODY
    if framing == "chunks":
        frame, body = "transfer-encoding: chunked", chunks()
    data = f"{HEAD}connection: upgrade, http2-settings\r\nupgrade: h2c\r\n{frame}\r\n\r\n".encode() + body
    async with wire(site.router.port) as client:
        for start in range(0, len(data), split):
            await client.send(data[start : start + split])
        assert (await read_answer(client)).status == 200
        assert await client.rest() == b""
    assert site.engine.state()["last"]["body_bytes"] == len(BODY)
    await site.unharmed()


@pytest.mark.parametrize("split", [1, 10, 10_000], ids=["byte by byte", "in tens", "at once"])
@pytest.mark.parametrize("framing", ["length", "chunks", "none"])
async def test_what_follows_an_offer_to_upgrade_is_no_part_of_its_body(site: Site, split: int, framing: str) -> None:
    frame, body = {
        "length": (f"content-length: {len(BODY)}\r\n", BODY),
        "chunks": ("transfer-encoding: chunked\r\n", chunks()),
        "none": ("", b""),
    }[framing]
    before = site.engine.state()["requests"]
    head = f"{HEAD}connection: upgrade\r\nupgrade: h2c\r\n{frame}\r\n"
    data = head.encode() + body + post(CHAT, BODY)
    async with wire(site.router.port) as client:
        for start in range(0, len(data), split):
            await client.send(data[start : start + split])
        assert (await read_answer(client)).status == (200 if body else 400)
        assert await client.rest() == b""
    assert site.engine.state()["requests"] == before + bool(body)
    if body:
        assert site.engine.state()["last"]["body_bytes"] == len(BODY)
    await site.unharmed()


@pytest.mark.parametrize("early", [b" " * (MAX_BODY_BYTES + 300_000), LONG + b"{"], ids=["413", "400"])
async def test_an_early_answer_leaves_the_connection_in_step(site: Site, early: bytes) -> None:
    async with wire(site.router.port) as client:
        await client.send(post(CHAT, early))
        assert (await read_answer(client)).status in (400, 413)
        for _ in range(2):
            await client.send(post(CHAT, BODY))
            assert (await read_answer(client)).status == 200
    await site.unharmed()


async def test_an_early_401_leaves_the_connection_in_step() -> None:
    async with running_site(api_keys=(Secret("key"),)) as site, wire(site.router.port) as client:
        await client.send(post(CHAT, LONG))
        assert (await read_answer(client)).status == 401
        await client.send(post(CHAT, BODY, "authorization: Bearer key"))
        assert (await read_answer(client)).status == 200


async def test_a_body_that_was_answered_early_and_breaks_off_gets_no_second_answer(site: Site) -> None:
    async with wire(site.router.port) as client:
        await client.send(f"{HEAD}transfer-encoding: chunked\r\n\r\n{MAX_BODY_BYTES + 9:x}\r\n".encode())
        await client.send(b" " * (MAX_BODY_BYTES + 1))
        assert (await read_answer(client)).status == 413
        await client.send(b" " * 8 + b"no chunk's end\r\n")
        assert await client.rest() == b""
    await site.unharmed()


async def test_a_body_that_was_answered_early_may_not_take_for_ever(site: Site) -> None:
    async with wire(site.router.port) as client:
        await client.send(f"{HEAD}content-length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode())
        assert (await read_answer(client)).status == 413
        await client.send(b" ")
        assert await client.rest() == b""
    await site.unharmed()


@pytest.mark.parametrize("count", [1, 3])
async def test_garbage_behind_good_requests_does_not_touch_their_answers(site: Site, count: int) -> None:
    async with wire(site.router.port) as client:
        await client.send(post(CHAT, BODY) * count + b"\x16\x03garbage\r\n\r\n")
        assert (await read_answer(client)).status == 200
        assert await client.rest() == b""
    await site.unharmed()


async def test_nothing_is_served_behind_refused_headers(site: Site) -> None:
    async with wire(site.router.port) as client:
        before = site.engine.state()["requests"]
        await client.send(f"{HEAD}x-a: {'y' * 70_000}\r\ncontent-length: 0\r\n\r\n".encode() + post(CHAT, BODY))
        assert (await read_answer(client)).status == 431
        assert await client.rest() == b""
        assert site.engine.state()["requests"] == before
    await site.unharmed()


async def test_headers_are_bounded_while_an_answer_runs(site: Site) -> None:
    site.engine.fault("hang_headers")
    async with wire(site.router.port) as client:
        await client.send(post(CHAT, GOOD[CHAT] | {"stream": True}) + b"POST / HTTP/1.1\r\n")
        async with asyncio.timeout(2):
            while not site.router.leases:
                await asyncio.sleep(0.005)
        for number in range(1000):
            await client.send(b"x-%d: %s\r\n" % (number, b"y" * 1000))
        for _ in range(10):  # turns of the router's loop, in which it reads all that came
            assert (await site.router.client.get("/health")).status_code == 200
        held = max(_header_bytes(site), default=0)
        assert 0 < held < 2 * 65536
        assert site.router.leases == 1
    site.engine.fault("none")
    await site.unharmed()


def _header_bytes(site: Site) -> list[int]:
    """Of what each connection holds as headers."""
    connections = [c for c in site.router.parts.server.server_state.connections if isinstance(c, GuardedProtocol)]
    return [sum(len(name) + len(value) for name, value in connection.headers or []) for connection in connections]


async def test_a_broken_body_is_refused_in_the_style_of_its_api(site: Site) -> None:
    for path, style in ((CHAT, "error"), (MESSAGES, "type")):
        async with wire(site.router.port) as client:
            data = f"{HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n".replace(CHAT, path)
            await client.send(data.encode())
            assert next(iter(json.loads((await read_answer(client)).body))) == style
            assert await client.rest() == b""
    await site.unharmed()


async def test_an_old_client_gets_its_stream_without_chunks(site: Site) -> None:
    data = post(CHAT, GOOD[CHAT] | {"stream": True, "max_tokens": 4}).replace(b"HTTP/1.1", b"HTTP/1.0")
    async with wire(site.router.port) as client:
        await client.send(data)
        status, headers = await client.head()
        assert (status, headers["connection"]) == (200, "close")
        assert "transfer-encoding" not in headers
        events = await client.rest()
        assert events.startswith(b"data: {") and events.endswith(b"data: [DONE]\n\n")
    await site.unharmed()


async def test_a_refused_head_has_no_body(site: Site) -> None:
    async with wire(site.router.port) as client:
        await client.send(b"HEAD /health HTTP/1.1\r\n\r\n")
        status, headers = await client.head()
        assert (status, headers["connection"]) == (400, "close")
        assert await client.rest() == b""
