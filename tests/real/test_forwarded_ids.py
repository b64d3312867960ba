"""Chat requests whose ids go along, at a real vLLM: the same tokens, text, tool calls and usage, in less time.

Opt-in: WARMROUTE_REAL_VLLM (the first server is used, see conftest), for the times also WARMROUTE_TEST_DATA. `-s`
prints the table.
"""

import json
import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadtests.laboratory.markdown import Table, number
from tests.real.bodies import ALL
from tests.real.sessions import requests
from tests.routers import RunningRouter, data_folder, running_router

URL = os.environ.get("WARMROUTE_REAL_VLLM", "").partition(",")[0]
TOKENIZER = os.environ.get("WARMROUTE_REAL_TOKENIZER", "auto")
MODEL = os.environ.get("WARMROUTE_REAL_MODEL", "tiny-qwen3")
CHAT = "/v1/chat/completions"
LENGTHS = (40_000, 80_000, 110_000)
"""Of the conversations whose times are taken, in bytes."""
ROUNDS = 15

pytestmark = [pytest.mark.skipif(not URL, reason="WARMROUTE_REAL_VLLM is not set"), pytest.mark.timeout(1200)]


@asynccontextmanager
async def router(forward: bool) -> AsyncIterator[RunningRouter]:
    settings: dict[str, Any] = {"tokenizer": TOKENIZER, "forward_token_ids": forward, "health_interval_s": 2.0}
    async with running_router(URL, **settings) as running:
        yield running


async def forwarded(running: RunningRouter) -> float:
    name = f'warmroute_forwarded_ids_total{{model="{MODEL}"}}'
    return (await running.metrics()).get(name, 0)


def plain(answer: bytes, stream: bool) -> dict[str, Any]:
    """An answer without what differs between any two: ids, times, what was cached, and how a stream was cut."""
    lines = [line[6:] for line in answer.splitlines() if line.startswith(b"data: {")] if stream else [answer]
    found: dict[str, Any] = {"text": "", "token_ids": [], "calls": "", "finish": [], "prompt": [], "usage": None}
    for event in map(json.loads, lines):
        found["prompt"] += event.get("prompt_token_ids") or []
        if event.get("usage"):
            found["usage"] = {**event["usage"], "prompt_tokens_details": None}
        for choice in event.get("choices") or []:
            said = choice.get("message") or choice.get("delta") or {}
            found["text"] += (said.get("content") or "") + (said.get("reasoning") or "")
            found["token_ids"] += choice.get("token_ids") or []
            found["calls"] += "".join(json.dumps(call.get("function")) for call in said.get("tool_calls") or [])
            found["finish"] += [choice["finish_reason"]] if choice.get("finish_reason") else []
    return found


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_answers_are_the_same(stream: bool) -> None:
    fixed = {"model": MODEL, "max_tokens": 6, "temperature": 0, "seed": 1, "return_token_ids": True, "stream": stream}
    if stream:
        fixed["stream_options"] = {"include_usage": True}
    differ, sent = [], 0.0
    async with router(True) as running, httpx.AsyncClient(base_url=URL, timeout=120) as direct:
        for place, body in enumerate(ALL["chat"]):
            asked = {**body, **fixed}
            await direct.post(CHAT, json=asked)  # so that both find the same in the cache
            theirs = await direct.post(CHAT, json=asked)
            before = await forwarded(running)
            through = await running.client.post(CHAT, json=asked, timeout=120)
            sent += await forwarded(running) - before
            if theirs.status_code != through.status_code:
                differ.append(f"{place}: {theirs.status_code} and {through.status_code}")
            elif theirs.status_code == 200 and plain(theirs.content, stream) != plain(through.content, stream):
                differ.append(f"{place}: {json.dumps(body)[:200]}")
    assert differ == []
    assert sent >= len(ALL["chat"]) * 0.9
    print(f"{len(ALL['chat'])} bodies, {sent:.0f} with ids")


async def ttft_s(client: httpx.AsyncClient, body: dict[str, Any]) -> float:
    began = time.perf_counter()
    async with client.stream("POST", CHAT, json=body, timeout=120) as answer:
        assert answer.status_code == 200
        async for _ in answer.aiter_raw():
            return time.perf_counter() - began
    raise AssertionError("no byte came")


def conversations() -> list[dict[str, Any]]:
    """Of each length the longest recorded conversation below it."""
    path = Path(data_folder()) / "claude_code_entirecli.jsonl.zst"
    return [max(requests(path, limit, 10), key=lambda body: len(json.dumps(body))) for limit in LENGTHS]


@pytest.mark.skipif(not data_folder(), reason="WARMROUTE_TEST_DATA is not set")
async def test_time_to_first_token(capsys: pytest.CaptureFixture[str]) -> None:
    """Each round asks the next turn of a conversation that the engine has cached, by turns with ids and without."""
    fixed = {"model": MODEL, "max_tokens": 2, "temperature": 0, "stream": True}
    rows = []
    async with router(True) as on, router(False) as off:
        for body in conversations():
            times: dict[bool, list[float]] = {True: [], False: []}
            asked = {**body, **fixed}
            asked["messages"] = [*body["messages"], {"role": "user", "content": "go on"}]
            for running in (on, off):
                await ttft_s(running.client, asked)
                await running.settles()
            for number_ in range(ROUNDS):
                for forward in (number_ % 2 == 0, number_ % 2 == 1):
                    asked["messages"] = [*body["messages"], {"role": "user", "content": f"{number_} {forward} " * 8}]
                    times[forward].append(await ttft_s((on if forward else off).client, asked))
            tokens = (await on.client.post(CHAT, json={**asked, "stream": False}, timeout=120)).json()["usage"]
            rows.append(_row(tokens["prompt_tokens"], times))
            assert statistics.median(times[True]) < statistics.median(times[False])
        assert await forwarded(on) >= 0.8 * len(LENGTHS) * ROUNDS, "but for the tails that are verified by sample"
    header = ("prompt tokens", "median, rendered there", "median, ids sent", "least, rendered", "least, ids", "saved")
    with capsys.disabled():
        print("\n" + Table("TTFT of a known conversation's next turn", header, rows).markdown())


def _row(tokens: int, times: dict[bool, list[float]]) -> tuple[str, ...]:
    median = {forward: 1000 * statistics.median(found) for forward, found in times.items()}
    least = {forward: 1000 * min(found) for forward, found in times.items()}
    numbers = (median[False], median[True], least[False], least[True])
    saved = 1 - median[True] / median[False]
    return (f"{tokens:,}", *(number(value, "ms") for value in numbers), f"{100 * saved:.0f} %")
