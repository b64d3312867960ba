"""A real vLLM server, for checks by hand: set WARMROUTE_REAL_VLLM=http://host:port (of several, joined by
commas, prompts are compared with the first).

The server has to run with `--enable-scale-out` (its render routes answer with token ids), and for tools with
`--enable-auto-tool-choice --tool-call-parser NAME`. Its tokenizer must be loadable here from the model's root, or from
WARMROUTE_REAL_TOKENIZER. If it has --chat-template or --default-chat-template-kwargs: the same file in
WARMROUTE_REAL_CHAT_TEMPLATE, the same JSON in WARMROUTE_REAL_TEMPLATE_KWARGS.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.real.server import RealServer
from tokenizer_cache.rules import Served
from tokenizer_cache.templates.render import Renderer
from tokenizer_cache.tokenizers.load import load


@pytest.fixture(scope="session")
def server() -> Iterator[RealServer]:
    url = os.environ.get("WARMROUTE_REAL_VLLM", "").partition(",")[0]
    if not url:
        pytest.skip("WARMROUTE_REAL_VLLM is not set")
    with httpx.Client(base_url=url, timeout=120, limits=httpx.Limits(max_keepalive_connections=0)) as client:
        card = client.get("/v1/models").raise_for_status().json()["data"][0]
        file = os.environ.get("WARMROUTE_REAL_CHAT_TEMPLATE")
        kwargs = json.loads(os.environ.get("WARMROUTE_REAL_TEMPLATE_KWARGS") or "{}")
        source = os.environ.get("WARMROUTE_REAL_TOKENIZER") or card["root"]
        tokenizer = load(source, Path(file).read_text() if file else None).served_by(Served(default_kwargs=kwargs))
        yield RealServer(client, card["id"], card["max_model_len"], tokenizer, Renderer(tokenizer))
