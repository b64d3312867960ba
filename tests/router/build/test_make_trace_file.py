"""A router with a trace file, in front of an engine that counts."""

import base64
import json
from pathlib import Path
from typing import Any

from loadtests.laboratory.replay.engines import look
from router.build.basics import basics_of
from router.build.make_trace_file import make_trace_file
from router.build.tuning import DEFAULTS
from router.processes.process_config import ProcessConfig
from router.settings import Secret
from tests.engines import EngineThread
from tests.router.fleets import make_fleet
from tests.routers import chat, running_router, settings_for

MARK = "zanzibar quagmire"


async def test_what_passed_is_told_without_a_word_of_it(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"{MARK} " * 200}]
    with EngineThread(model="m", tokenizer="bytes") as engine:
        async with running_router(engine.url, tokenizer="off", trace_file=str(path)) as router:
            for _ in range(3):
                body = chat() | {"messages": messages}
                answer = (await router.client.post("/v1/chat/completions", json=body)).json()
                messages += [answer["choices"][0]["message"], {"role": "user", "content": f"{MARK} " * 40}]
            await router.client.post("/v1/chat/completions", json=chat() | {"model": "unknown"})
            counted = (await look([engine.url]))[engine.url]
    text = path.read_text()
    head, *lines = map(json.loads, text.splitlines())
    assert [worker["kv_tokens"] > 0 for worker in head["workers"]] == [True]
    assert [line["conversation"] for line in lines] == [1, 1, 1]
    assert [bool(line.get("keep")) for line in lines] == [False, True, True]
    assert [len(base64.b64decode(line["blocks"])) > 0 for line in lines] == [True] * 3
    assert sum(line["cached_tokens"] for line in lines) == counted.cached_tokens > 0
    assert sum(line["prompt_tokens"] for line in lines) == counted.prompt_tokens
    assert not [word for word in (*MARK.split(), "127.0.0.1") if word in text]


def test_each_process_has_its_own_file(tmp_path: Path) -> None:
    settings = settings_for(trace_file=str(tmp_path / "trace.jsonl"), index_secret=Secret("s" * 32))
    basics = basics_of(settings, DEFAULTS)
    config = ProcessConfig(3, 4, tmp_path, ())
    assert make_trace_file(basics, make_fleet(1), config)._path == tmp_path / "trace.3.jsonl"
    assert make_trace_file(basics, make_fleet(1), None)._path == tmp_path / "trace.jsonl"
    assert not make_trace_file(basics_of(settings_for(), DEFAULTS), make_fleet(1), config).enabled
