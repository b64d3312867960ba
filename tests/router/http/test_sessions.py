"""Sessions that do not fit into a worker's memory together, over real sockets."""

import asyncio
from typing import Any

from tests.engines import EngineThread, quick_profile
from tests.router.http.site import CHAT
from tests.routers import MODEL, RunningRouter, chat, running_router

WORDS = 1000
TURNS = 6
TIGHT = quick_profile(prefill_rate=8_000, kv_tokens=6_144, decode_s=0.001)
"""Five of the sessions below fit."""
SESSIONS = 8


async def session(router: RunningRouter, number: int) -> list[Any]:
    """Turns with no pause between them, each of which extends the one before."""
    messages, answers = [{"role": "user", "content": f"{number:04} " + "word " * WORDS}], []
    for _ in range(TURNS):
        answer = await router.client.post(CHAT, json={**chat(""), "messages": messages, "max_tokens": 4})
        answers.append(answer)
        if answer.status_code != 200:
            break
        said = answer.json()["choices"][0]["message"]["content"]
        messages += [{"role": "assistant", "content": said}, {"role": "user", "content": "go on"}]
    return answers


async def cached_share(**settings: Any) -> float:
    """Of all sessions at once."""
    with EngineThread(model=MODEL, profile=TIGHT) as engine:
        async with running_router(engine.url, **settings) as router:
            done = await asyncio.gather(*(session(router, number) for number in range(SESSIONS)))
            answers = [answer for one in done for answer in one]
            assert {answer.status_code for answer in answers} == {200}
            assert len(answers) == SESSIONS * TURNS
            await router.settles()
            assert len(router.parts.room) == 0
            assert not router.parts.admission.climate(MODEL).waiting
    usages = [answer.json()["usage"] for answer in answers]
    cached = sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in usages)
    return float(cached / sum(usage["prompt_tokens"] for usage in usages))


async def test_sessions_take_turns_instead_of_pushing_each_other_out() -> None:
    assert await cached_share(session_wait_s=0.0, saturation_wait_s=0.0) < 0.3
    assert (share := await cached_share(session_wait_s=30.0)) > 0.5, share
