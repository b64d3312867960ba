"""One router and its only worker for many tests: quick limits, and the check that a bad client has left nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.engines import EngineThread, quick_profile
from tests.router.http.raw import Wire
from tests.routers import MODEL, RunningRouter, running_router

CHAT, COMPLETIONS, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"
MAX_BODY_BYTES = 400_000
HANG_S = 2.0
"""Nothing that a client does may take longer than this to be answered, or to be cleared away."""

_SAID = [{"role": "user", "content": "hi"}]
GOOD: dict[str, dict[str, Any]] = {
    CHAT: {"model": MODEL, "max_tokens": 1, "messages": _SAID},
    COMPLETIONS: {"model": MODEL, "max_tokens": 1, "prompt": "hi"},
    RESPONSES: {"model": MODEL, "max_output_tokens": 1, "input": "hi"},
    MESSAGES: {"model": MODEL, "max_tokens": 1, "messages": _SAID},
}
"""The smallest request of each prompt API."""


class Answer(NamedTuple):
    """One answer that has a length."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Site:
    """The two of them."""

    router: RunningRouter
    engine: EngineThread

    async def unharmed(self) -> None:
        """Nothing is left behind, and the router and, over its pool, the worker answer."""
        await self.router.settles(HANG_S)
        good = await self.router.client.post(CHAT, json=GOOD[CHAT])
        assert good.status_code == 200, good.text


@asynccontextmanager
async def running_site(**settings: Any) -> AsyncIterator[Site]:
    """A site; `settings` are the router's."""
    limits = {"max_body_bytes": MAX_BODY_BYTES, "header_timeout_s": 0.3, "client_timeout_s": 0.3, **settings}
    with EngineThread(model=MODEL, speed=20.0, profile=quick_profile(max_model_len=512)) as engine:
        async with running_router(engine.url, **limits) as router:
            yield Site(router, engine)


async def read_answer(client: Wire) -> Answer:
    """The next answer, within the time that counts as a hang."""
    async with asyncio.timeout(HANG_S):
        status, headers = await client.head()
        return Answer(status, headers, await client.reader.readexactly(int(headers["content-length"])))
