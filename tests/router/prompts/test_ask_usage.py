"""Asked for where the client did not, and nowhere else; a client sees no difference."""

import json
from dataclasses import replace
from typing import Any

import pytest

from router.prompts.ask_usage import with_usage
from tests.engines import EngineThread
from tests.router.fleets import facts
from tests.routers import MODEL, chat, running_router
from tokenizer_cache.bodies.request import parse

PATHS = {
    "chat": ("/v1/chat/completions", chat()),
    "completions": ("/v1/completions", {"model": MODEL, "prompt": "abc"}),
}


@pytest.mark.parametrize("api", PATHS)
def test_the_rest_of_the_body_stays(api: str) -> None:
    body = json.dumps({**PATHS[api][1], "stream": True}).encode()
    asking = with_usage(parse(api, body), body, facts())
    assert asking == body[:-1] + b',"stream_options":{"include_usage":true}}'


@pytest.mark.parametrize(
    "more",
    [{"stream": False}, {"stream_options": {"include_usage": False}}, {"stream_options": {"include_usage": True}}],
)
def test_where_it_is_not_asked_for(more: dict[str, Any]) -> None:
    body = json.dumps({**chat(stream=True), **more}).encode()
    assert with_usage(parse("chat", body), body, facts()) is None


def test_an_engine_that_is_not_known_is_not_asked() -> None:
    body = json.dumps(chat(stream=True)).encode()
    request = parse("chat", body)
    assert with_usage(request, body, None) is None
    assert with_usage(request, body, replace(facts(), engine="unknown")) is None
    assert with_usage(request, body, replace(facts(), engine="sglang")) is not None


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize("options", [{}, {"stream_options": None}])
async def test_a_client_sees_no_difference_and_the_router_learns(api: str, options: dict[str, Any]) -> None:
    path, body = PATHS[api]
    asked = {**body, **options, "stream": True, "max_tokens": 6}
    with EngineThread(model=MODEL) as engine:
        shown = []
        for on in (False, True):
            async with running_router(engine.url, ask_usage=on) as router:
                answer = await router.client.post(path, json=asked, headers={"x-request-id": "same"})
                await router.settles()
                shown.append(_without_times(answer.content))
                metrics = await router.metrics()
                reported = [name for name in metrics if name.startswith("warmroute_reported_prompt_tokens_total")]
                assert bool(reported) is on
        assert shown[0] == shown[1]
        assert b"usage" not in answer.content


def _without_times(stream: bytes) -> list[Any]:
    frames = [frame.removeprefix(b"data: ") for frame in stream.split(b"\n\n") if frame]
    return [{**json.loads(frame), "created": 0} for frame in frames[:-1]] + [frames[-1]]
