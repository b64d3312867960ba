"""A real vLLM server, for checks by hand: set WARMROUTE_REAL_VLLM=http://host:port (of several, joined by
commas, prompts are compared with the first).

The server has to run with `--enable-scale-out` (its render routes answer with token ids), and for tools with
`--enable-auto-tool-choice --tool-call-parser NAME`. Its tokenizer must be loadable here from the model's root, or from
WARMROUTE_REAL_TOKENIZER.
"""

import os
from collections.abc import Iterator

import httpx
import pytest

from tests.real.server import RealServer
from tokenizer_cache.render import Renderer
from tokenizer_cache.tokenizer import load


@pytest.fixture(scope="session")
def server() -> Iterator[RealServer]:
    url = os.environ.get("WARMROUTE_REAL_VLLM", "").partition(",")[0]
    if not url:
        pytest.skip("WARMROUTE_REAL_VLLM is not set")
    with httpx.Client(base_url=url, timeout=120, limits=httpx.Limits(max_keepalive_connections=0)) as client:
        card = client.get("/v1/models").raise_for_status().json()["data"][0]
        tokenizer = load(os.environ.get("WARMROUTE_REAL_TOKENIZER") or card["root"])
        yield RealServer(client, card["id"], card["max_model_len"], tokenizer, Renderer(tokenizer))
