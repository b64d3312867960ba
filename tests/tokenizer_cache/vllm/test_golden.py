"""Requests as vLLM shows them to a template, against recordings of a real vLLM 0.32's render routes.

`golden.jsonl`: a line with the templates and the servers' default template arguments, then a line for each body
with the text of the ids that the server rendered, or null where it refused. The templates print all that they get.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.tokenizer_cache.small import small_raw
from tokenizer_cache.rules import NotExact, Served
from tokenizer_cache.templates.render import RENDER_ERRORS, Renderer
from tokenizer_cache.tokenizers.tokenizer import Tokenizer

FIRST, *LINES = Path(__file__).with_name("golden.jsonl").read_text().splitlines()
SERVERS: dict[str, dict[str, Any]] = json.loads(FIRST)
CASES = [json.loads(line) for line in LINES]


@cache
def renderer(name: str) -> Renderer:
    server = SERVERS[name]
    return Renderer(
        Tokenizer(small_raw(), server["source"], {}).served_by(Served(default_kwargs=server["default_kwargs"]))
    )


@pytest.mark.parametrize(
    ("name", "api"),
    [("parts", "chat"), ("developer", "chat"), *(("string", a) for a in ("chat", "messages", "responses"))],
)
def test_prompts_equal_what_vllm_rendered(name: str, api: str) -> None:
    cases = [case for case in CASES if (case["template"], case["api"]) == (name, api)]
    assert len(cases) > 10
    for case in cases:
        try:
            text: str | None = renderer(name).full(renderer(name).call(api, case["body"]))
        except (NotExact, *RENDER_ERRORS):
            text = None
        assert (text, case["body"]) == (case["text"], case["body"])
