"""The SDKs of OpenAI and Anthropic, and a client with Codex's timers, while the router lets them wait.

Skipped without the SDKs: `pip install openai anthropic`. They wait for WARMROUTE_REAL_HELD_S, 10 s if unset;
all other times are scaled to it: at 200 s Codex's limit is its 300 s, a proxy's 60 s, and keep-alives come every 20 s.
With -rP the results are printed.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.router.http.patience import CODEX_S, PROXY_S, busy, codex, impatient_proxy
from tests.routers import MODEL

HELD_S = float(os.environ.get("WARMROUTE_REAL_HELD_S", "10"))
SCALE = HELD_S / 200
SAID = [{"role": "user", "content": "hello"}]
Call = Callable[[int], Awaitable[str]]

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(60 + 2 * HELD_S)]


def openai(port: int) -> Any:
    return pytest.importorskip("openai").AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="x")


def anthropic(port: int) -> Any:
    return pytest.importorskip("anthropic").AsyncAnthropic(base_url=f"http://127.0.0.1:{port}", api_key="x")


async def last_of(stream: Any) -> Any:
    return [event async for event in stream][-1]


async def chat(port: int) -> str:
    stream = await openai(port).chat.completions.create(model=MODEL, messages=SAID, max_tokens=4, stream=True)
    return f"finish_reason {[c.choices[0].finish_reason async for c in stream if c.choices][-1]}"


async def chat_whole(port: int) -> str:
    answer = await openai(port).chat.completions.create(model=MODEL, messages=SAID, max_tokens=4)
    return f"finish_reason {answer.choices[0].finish_reason}"


async def chat_bytes(port: int) -> str:
    """What the SDK drops: where the request stands in line."""
    create = openai(port).chat.completions.with_streaming_response.create
    async with create(model=MODEL, messages=SAID, max_tokens=4, stream=True) as answer:
        body = b"".join([piece async for piece in answer.iter_bytes()])
    return f"complete {b'[DONE]' in body}, places told {body.count(b': requests in line before this one: ')}"


async def messages_bytes(port: int) -> str:
    create = anthropic(port).messages.with_streaming_response.create
    async with create(model=MODEL, messages=SAID, max_tokens=4, stream=True) as answer:
        body = b"".join([piece async for piece in answer.iter_bytes()])
    return f"complete {b'message_stop' in body}, places told {body.count(b': requests in line before this one: ')}"


async def completions(port: int) -> str:
    stream = await openai(port).completions.create(model=MODEL, prompt="x", max_tokens=4, stream=True)
    return f"finish_reason {[c.choices[0].finish_reason async for c in stream if c.choices][-1]}"


async def responses(port: int) -> str:
    stream = await openai(port).responses.create(model=MODEL, input="x", max_output_tokens=4, stream=True)
    return str((await last_of(stream)).type)


async def responses_helper(port: int) -> str:
    async with openai(port).responses.stream(model=MODEL, input="x", max_output_tokens=4) as stream:
        return str((await last_of(stream)).type)


async def messages(port: int) -> str:
    stream = await anthropic(port).messages.create(model=MODEL, messages=SAID, max_tokens=4, stream=True)
    return str((await last_of(stream)).type)


async def messages_helper(port: int) -> str:
    async with anthropic(port).messages.stream(model=MODEL, messages=SAID, max_tokens=4) as stream:
        return f"stop_reason {(await stream.get_final_message()).stop_reason}"


async def like_codex(port: int) -> str:
    return "completed at try {}, {} heartbeats".format(*await codex(port, CODEX_S * SCALE))


async def like_codex_of_100_s(port: int) -> str:
    return "completed at try {}, {} heartbeats".format(*await codex(port, 100 * SCALE))


DIRECT: list[Call] = [
    chat, chat_whole, completions, responses, responses_helper, messages, messages_helper, like_codex,
    like_codex_of_100_s, chat_bytes, messages_bytes,
]  # fmt: skip
BEHIND: list[Call] = [chat, messages_helper, like_codex]


async def timed(call: Call, port: int, place: str) -> tuple[str, str]:
    began = time.monotonic()
    try:
        result = await call(port)
    except Exception as error:  # noqa: BLE001 - each SDK has its own
        result = f"{type(error).__name__}: {error}"
    print(f"| {place} | {call.__name__} | {result} | {time.monotonic() - began:.0f} s |")
    return f"{place} {call.__name__}", result


@pytest.mark.parametrize("every_s", [20 * SCALE, 0.0])
async def test_who_is_held_gets_a_whole_answer(every_s: float) -> None:
    openai(1), anthropic(1)
    async with busy(HELD_S, every_s) as router, impatient_proxy(router.port, PROXY_S * SCALE) as proxy:
        calls = [timed(call, router.port, "direct") for call in DIRECT] + [
            timed(call, proxy, "proxy") for call in BEHIND
        ]
        results = dict(await asyncio.gather(*calls))
    failed = {name: result for name, result in results.items() if "Error" in result}
    told = [results[f"direct {call.__name__}"] for call in (chat_bytes, messages_bytes)]
    assert all(each.startswith("complete True, places told ") for each in told)
    assert all(each.endswith(" 0") is not bool(every_s) for each in told)
    if every_s:
        assert not failed
        assert results["proxy like_codex"].startswith("completed at try 1")
    else:  # the SDKs try three times: behind a proxy that cuts after 60 s that is 180 s
        assert {name.split()[0] for name in failed} <= {"proxy"}
        assert "completed" in results["proxy like_codex"]
