"""Users whose turns go to routers at random."""

import asyncio
from typing import cast

from loadtests.drills.session_users import Users
from loadtests.harness.processes import Router
from tests.engines import EngineThread, quick_profile
from tests.routers import MODEL


async def test_each_session_goes_on_turn_by_turn_and_what_fails_is_sent_again() -> None:
    with EngineThread(model=MODEL, speed=50.0, profile=quick_profile(max_model_len=65536)) as engine:
        users = Users(2, [cast(Router, engine)] * 2)
        playing = asyncio.create_task(users.play(60.0))
        async with asyncio.timeout(30):
            while len(users.asked) < 3:
                await asyncio.sleep(0.05)
        playing.cancel()
        await asyncio.wait([playing])
    failed = [asked.record.error for asked in users.asked]
    assert set(failed) == {"status 404"}, "the engine serves another model"
    assert {asked.record.turn for asked in users.asked} == {0}
