"""Whole agent sessions through the router to real engines, with the official SDKs: what was predicted, and what was so.

Opt-in: WARMROUTE_REAL_VLLM="http://a,http://b" (two servers), WARMROUTE_TEST_DATA (recorded sessions), and if the
model's root cannot be loaded here WARMROUTE_REAL_TOKENIZER. `-s` prints the table.
"""

import asyncio
import io
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zstandard
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from tests.real.sessions import as_messages
from tests.routers import data_folder, running_router

URLS = [url for url in os.environ.get("WARMROUTE_REAL_VLLM", "").split(",") if url]
TOKENIZER = os.environ.get("WARMROUTE_REAL_TOKENIZER", "auto")
MODEL = os.environ.get("WARMROUTE_REAL_MODEL", "tiny-qwen3")
MAX_PROMPT_CHARS = 85_000
"""Sessions are cut at about 28K tokens, so that a turn fits the servers' 32K."""
SESSIONS = 12
TURNS = 10
AT_ONCE = 4

pytestmark = [
    pytest.mark.skipif(len(URLS) < 2 or not data_folder(), reason="needs two real servers and recorded sessions"),
    pytest.mark.timeout(3000),
]


class Turn(NamedTuple):
    """One request, as the router logged it."""

    session: str
    worker: str
    predicted: int
    cached: int | None
    prompt_tokens: int
    outcome: str


def sessions(name: str, count: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(id, chat bodies in order) of recorded sessions, cut to the length limit."""
    path = Path(data_folder()) / f"{name}.jsonl.zst"
    with path.open("rb") as packed:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(packed), "utf-8")
        for session in itertools.islice((json.loads(line) for line in lines), count):
            yield session["id"], list(_bodies(session))[-TURNS:]


def _bodies(session: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for request in session["requests"]:
        messages = [message for start, end in request["spans"] for message in session["messages"][start:end]]
        if messages and len(json.dumps(messages)) < MAX_PROMPT_CHARS:
            yield {"messages": messages, **({"tools": session["tools"]} if session.get("tools") else {})}


async def test_openai_sdk_over_two_real_engines(capsys: pytest.CaptureFixture[str]) -> None:
    work = [*sessions("claude_code_entirecli", SESSIONS), *sessions("tau_airline", SESSIONS)]
    log = io.BytesIO()
    async with _router(log) as router, AsyncOpenAI(base_url=router.url + "/v1", api_key="x", max_retries=0) as client:
        await _each_in_turn(work, lambda name, body: _stream(client, name, body))
        await router.settles()
        router.parts.access_log.flush()
        mismatches = (await router.metrics()).get(f'warmroute_prompt_token_mismatches_total{{model="{MODEL}"}}', 0)
    turns = _turns(log)
    _report(capsys, turns, mismatches)
    assert len({turn.session for turn in turns}) >= 20
    assert all(turn.outcome == "ok" for turn in turns)
    assert mismatches == 0
    assert _share_within_a_block(turns, 128) >= 0.95
    assert _share_at_home(turns) >= 0.95


async def test_anthropic_sdk_over_two_real_engines(capsys: pytest.CaptureFixture[str]) -> None:
    work = [*sessions("claude_code_entirecli", 3), *sessions("tau_airline", 3)]
    log = io.BytesIO()
    async with _router(log) as router, AsyncAnthropic(base_url=router.url, api_key="x", max_retries=0) as client:
        await _each_in_turn(work, lambda name, body: _message(client, name, body))
        await router.settles()
        router.parts.access_log.flush()
        mismatches = (await router.metrics()).get(f'warmroute_prompt_token_mismatches_total{{model="{MODEL}"}}', 0)
    turns = _turns(log)
    _report(capsys, turns, mismatches)
    assert all(turn.outcome == "ok" for turn in turns)
    assert mismatches == 0
    assert _share_at_home(turns) >= 0.95


def _router(log: io.BytesIO) -> Any:
    return running_router(*URLS, tokenizer=TOKENIZER, access_stream=log, prefill_rate=8000.0)


async def _each_in_turn(work: list[tuple[str, list[dict[str, Any]]]], send: Any) -> None:
    """Sessions side by side, `AT_ONCE` at a time, the turns of one in order."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(name: str, bodies: list[dict[str, Any]]) -> None:
        async with room:
            for number, body in enumerate(bodies):
                await send(f"{name}/{number}", body)

    await asyncio.gather(*(one(name, bodies) for name, bodies in work))


async def _stream(client: AsyncOpenAI, name: str, body: dict[str, Any]) -> None:
    stream = await client.chat.completions.create(
        model=MODEL,
        max_tokens=8,
        stream=True,
        stream_options={"include_usage": True},
        extra_headers={"x-request-id": name},
        **body,
    )
    usage = None
    async for chunk in stream:
        usage = chunk.usage or usage
    assert usage is not None


async def _message(client: AsyncAnthropic, name: str, body: dict[str, Any]) -> None:
    translated = {**as_messages(body), "max_tokens": 8}
    async with client.messages.stream(model=MODEL, extra_headers={"x-request-id": name}, **translated) as stream:
        async for _ in stream:
            pass
        assert (await stream.get_final_message()).usage.output_tokens > 0


def _turns(log: io.BytesIO) -> list[Turn]:
    lines = (json.loads(line) for line in log.getvalue().splitlines())
    return [
        Turn(
            line["request_id"].rpartition("/")[0],
            line.get("worker", ""),
            line.get("predicted_cached_tokens", 0),
            line.get("cached_tokens"),
            line.get("prompt_tokens", 0),
            line["outcome"],
        )
        for line in lines
        if "/v1/" in line["path"]
    ]


def _share_within_a_block(turns: list[Turn], block: int) -> float:
    told = [turn for turn in turns if turn.cached is not None]
    return sum(abs(turn.predicted - turn.cached) <= block for turn in told) / len(told)  # type: ignore[operator]


def _share_at_home(turns: list[Turn]) -> float:
    """Of the later turns, how many went to the worker of the turn before."""
    home: dict[str, str] = {}
    at_home = later = 0
    for turn in turns:
        if turn.session in home:
            later += 1
            at_home += home[turn.session] == turn.worker
        home[turn.session] = turn.worker
    return at_home / later


def _report(capsys: pytest.CaptureFixture[str], turns: list[Turn], mismatches: float) -> None:
    told = [turn for turn in turns if turn.cached is not None]
    apart = sorted(turn.predicted - turn.cached for turn in told if turn.cached is not None)
    total = sum(turn.prompt_tokens for turn in turns)
    with capsys.disabled():
        print(f"\nsessions {len({turn.session for turn in turns})}, requests {len(turns)}, cached reported {len(told)}")
        print(f"prompt tokens {total}, mean {total // len(turns)}, max {max(turn.prompt_tokens for turn in turns)}")
        print(f"prompts whose length differs from the engine's: {mismatches:.0f}")
        print(f"predicted within one block (128): {_share_within_a_block(turns, 128):.3f}")
        print(f"predicted minus cached: min {apart[0]}, median {apart[len(apart) // 2]}, max {apart[-1]}")
        print(f"turns at the session's worker: {_share_at_home(turns):.3f}")
