"""Clients and proxies that give up on silence, before a router that lets them wait: their own timers, scaled down."""

import asyncio

import pytest

from router.sessions.recognition.turn import RETURN_S
from tests.router.http.patience import BODY, busy, codex, impatient_proxy
from tests.router.http.raw import post, wire
from tests.router.http.site import CHAT, MESSAGES, RESPONSES
from tests.routers import chat

PATIENCE_S = 1.5
EVERY_S = 0.1
HELD_S = 4.0
"""More than twice as long as their patience."""
BODIES = {CHAT: chat("short", stream=True), MESSAGES: chat("short", stream=True), RESPONSES: BODY}
ENDS = {CHAT: b"data: [DONE]\n\n", MESSAGES: b"event: message_stop", RESPONSES: b"event: response.completed"}


@pytest.mark.parametrize("path", BODIES)
async def test_signs_of_life_hold_a_proxy_that_cuts_silent_connections(path: str) -> None:
    async with busy(HELD_S, EVERY_S) as router, impatient_proxy(router.port, PATIENCE_S) as port, wire(port) as client:
        await client.send(post(path, BODIES[path]))
        assert (await client.head())[0] == 200
        body = b""
        while ENDS[path] not in body:
            body += await asyncio.wait_for(client.reader.read(1 << 16), 30)


async def test_without_them_the_proxy_cuts_and_the_same_turn_sent_again_is_answered() -> None:
    async with busy(HELD_S, 0.0) as router, impatient_proxy(router.port, PATIENCE_S) as port:
        cut = 0
        while True:
            async with wire(port) as client:
                await client.send(post(CHAT, BODIES[CHAT]))
                try:
                    assert (await client.head())[0] == 200
                    break
                except (asyncio.IncompleteReadError, ConnectionError):
                    cut += 1
        assert cut >= 2


async def test_codex_waits_on_with_heartbeats() -> None:
    async with busy(HELD_S, EVERY_S) as router:
        tries, heartbeats = await codex(router.port, PATIENCE_S)
    assert tries == 1
    assert heartbeats > PATIENCE_S / EVERY_S / 2


async def test_codex_tries_again_without_them_and_is_answered() -> None:
    async with busy(HELD_S, 0.0) as router:
        tries, heartbeats = await codex(router.port, PATIENCE_S)
    assert (tries > 1, heartbeats) == (True, 0)


async def test_who_was_cut_off_in_line_is_served_before_those_that_came_after() -> None:
    assert RETURN_S > 2 * HELD_S
    served: list[str] = []
    async with busy(HELD_S, 0.0) as router:

        async def ask(name: str) -> None:
            long = chat(name + " word" * 800)  # 0.5 s of prefill: no second one is let in beside it
            assert (await router.client.post(CHAT, json=long)).status_code == 200
            served.append(name)

        async def waiting(count: int) -> None:
            async with asyncio.timeout(5):
                while len(router.parts.waiting_room) != count:
                    await asyncio.sleep(0.002)

        gives_up = asyncio.create_task(ask("early"))
        await waiting(1)
        late = asyncio.create_task(ask("late"))
        await waiting(2)
        gives_up.cancel()
        await waiting(1)
        await asyncio.gather(ask("early"), late)
    assert served == ["early", "late"]
