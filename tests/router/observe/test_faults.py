"""Faults are logged without their texts."""

import traceback
from pathlib import Path
from typing import Any

import pytest

from router.observe.faults import without_text
from tests.engines import EngineThread
from tests.routers import MODEL, chat, running_router

SECRET = "what-a-client-wrote"
QUOTES = """
from policies.random_choice import RandomChoice


class Quotes(RandomChoice):
    def select(self, request, candidates):
        raise KeyError(request.session)
"""


def test_the_type_and_the_place_stay_and_the_text_goes() -> None:
    try:
        raise LookupError(SECRET) from ValueError(SECRET)
    except LookupError as error:
        told = "".join(traceback.format_exception(without_text(error)))
    assert "RuntimeError: LookupError" in told
    assert "test_faults.py" in told
    assert SECRET not in told.replace("raise LookupError(SECRET) from ValueError(SECRET)", "")


@pytest.mark.parametrize("where", ["policy", "shadows"])
async def test_a_policy_that_quotes_what_a_client_wrote_is_not_quoted_in_the_log(
    where: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "quotes.py"
    file.write_text(QUOTES)
    name = f"{file}:Quotes"
    settings: dict[str, Any] = {where: (name,) if where == "shadows" else name}
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url, **settings) as router:
            answer = await router.client.post("/v1/chat/completions", json=chat(), headers={"x-session-id": SECRET})
            assert answer.status_code == (500 if where == "policy" else 200)
    said = caplog.text
    caplog.clear()
    assert "KeyError" in said
    assert SECRET not in said
