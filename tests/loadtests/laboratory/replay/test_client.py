"""What the client makes of answers, whole and broken."""

import math
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from loadtests.laboratory.replay.client import Client, Question
from loadtests.laboratory.replay.record import Record, Usage
from tests.engines import EngineThread


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Client(timeout_s=2.0) as made:
        yield made


def question(url: str, **more: Any) -> Question:
    body = {"messages": [{"role": "user", "content": "word " * 400}], "max_tokens": 5, "stream": True}
    body |= {"stream_options": {"include_usage": True}} | more
    return Question(
        "s", 0, f"{url}/v1/chat/completions", msgspec.json.encode(body), {"content-type": "application/json"}
    )


async def test_a_live_answer_is_measured(client: Client) -> None:
    with EngineThread() as engine:
        records = [await client.ask(question(engine.url)) for _ in range(2)]
        assert await client.first_model(f"{engine.url}/v1", {}) == "warm-demo"
    for record in records:
        assert record.error == "" and record.asked_s < record.first_s < record.ended_s
        assert record.usage.answer_tokens == 5 and record.per_token_s > 0
    assert records[0].usage.cached_tokens == 0 < records[1].usage.cached_tokens < records[1].usage.prompt_tokens


async def struck(client: Client, kind: str) -> Record:
    with EngineThread() as engine:
        engine.fault(kind, after_chunks=2)
        record = await client.ask(question(engine.url))
    assert record.usage == Usage()
    return record


async def test_errors_have_kinds(client: Client) -> None:
    refused = await struck(client, "status_503")
    assert refused.error == "status 503" and refused.detail and math.isnan(refused.first_s)
    assert (await struck(client, "reset")).error == "no answer"
    cut = await struck(client, "close_mid_stream")
    assert cut.error == "cut off" and cut.first_s > cut.asked_s
    assert (await struck(client, "error_event")).error == "error event"
    assert (await client.ask(question("http://127.0.0.1:9"))).error == "no connection"


async def test_patience_ends(client: Client) -> None:
    async with Client(timeout_s=0.2) as hasty:
        assert (await struck(hasty, "hang_headers")).error == "timeout"


async def test_an_unfit_base_url_is_said(client: Client) -> None:
    with pytest.raises(ValueError, match="does not answer"):
        await client.first_model("http://127.0.0.1:9/v1", {})
    with EngineThread(api_key="k") as engine, pytest.raises(ValueError, match="answers 401"):
        await client.first_model(f"{engine.url}/v1", {})
