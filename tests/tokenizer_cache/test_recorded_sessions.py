"""Recorded agent sessions with a real tokenizer: every prompt equals one uncached rendering and encode.

Opt-in: WARMROUTE_TEST_DATA names a folder with `tokenizers/qwen3` and the sessions (`*.jsonl.zst`).
"""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tokenizer_cache.random_chats import body_of
from tokenizer_cache.bodies.identity import scope_key
from tokenizer_cache.bodies.request import parse
from tokenizer_cache.conversations.chain import Chain, pack
from tokenizer_cache.encoder import PromptEncoder
from tokenizer_cache.tokenizers.load import load
from tokenizer_cache.vllm.inputs import template_call
from tokenizer_cache.vllm.template import template_format

DATA = os.environ.get("WARMROUTE_TEST_DATA", "")
SESSIONS, REQUESTS = 15, 40

pytestmark = [
    pytest.mark.skipif(not DATA, reason="WARMROUTE_TEST_DATA is not set"),
    pytest.mark.timeout(900),
]


def bodies(name: str) -> Iterator[bytes]:
    zstandard = pytest.importorskip("zstandard")
    with (Path(DATA) / f"{name}.jsonl.zst").open("rb") as packed:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(packed))
        for _, line in zip(range(SESSIONS), lines, strict=False):
            session: dict[str, Any] = json.loads(line)
            for request in session["requests"][:REQUESTS]:
                messages = [message for a, b in request["spans"] for message in session["messages"][a:b]]
                yield body_of(messages, **({"tools": session["tools"]} if session.get("tools") else {}))


@pytest.mark.parametrize("name", ["claude_code_entirecli", "tau_airline"])
def test_no_prompt_differs_and_most_take_the_tail_way(name: str) -> None:
    import transformers

    folder = str(Path(DATA) / "tokenizers" / "qwen3")
    uncached: Any = transformers.AutoTokenizer.from_pretrained(folder)
    template = template_format(uncached.chat_template, uncached.special_tokens_map)
    encoder, chain = PromptEncoder("vllm", load(folder), 64, b"secret"), Chain(256, b"secret")
    for body in bodies(name):
        request = parse("chat", body)
        known = encoder.recognise(request)
        prompt = encoder.encode(request)
        call = template_call("chat", json.loads(body), template)
        ids = uncached.apply_chat_template(
            call.messages, tools=call.tools, add_generation_prompt=True, tokenize=True, return_dict=False, **call.kwargs
        )
        expected, _ = chain.extend(chain.root(scope_key("vllm", request.fields)), b"", pack(ids))
        assert (prompt.exact, prompt.tokens, prompt.chain) == (True, len(ids), expected)
        assert expected.startswith(known.chain[: 8 * known.known_blocks])
    hits = encoder.counters.hits
    print(f"\n{name}: {dict(hits)}, {encoder.counters.verified} compared, {encoder.counters.failed} given up")
    assert hits["tail"] > 0.85 * hits.total()
