"""The ids that a real vLLM generates from (`return_token_ids`) are those whose chain our incremental encoder makes.

Skipped unless WARMROUTE_REAL_VLLM is set (see conftest). Recorded sessions go turn by turn, so what is compared is what
the cache made of a growing conversation. `-s` prints how many prompts were compared.
"""

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadtests.evidence.check_exact import bodies, read_sessions
from tests.real.bodies import CHAT, USER
from tests.real.server import RealServer
from tokenizer_cache.bodies.identity import scope_key
from tokenizer_cache.bodies.request import parse
from tokenizer_cache.conversations.chain import Chain, pack
from tokenizer_cache.encoder import PromptEncoder

SECRET, BLOCK = b"s", 1
MAX_BYTES = 80_000
SESSIONS, TURNS = 8, 14
PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
PROMPTS: list[dict[str, Any]] = [
    {"prompt": "hello"},
    {"prompt": "é 中文 <|im_end|>\n"},
    {"prompt": "echoed", "echo": True},
    {"prompt": "plain", "add_special_tokens": False},
    {"prompt": [1, 2, 3, 151643]},
    {"prompt": "words " * 4000},
]
pytestmark = pytest.mark.timeout(1800)


class Compared:
    """One incremental encoder beside the server."""

    def __init__(self, server: RealServer) -> None:
        self._server = server
        self._encoder = PromptEncoder("vllm", server.tokenizer, BLOCK, SECRET)
        self._chain = Chain(4 * BLOCK, SECRET)
        self.different: list[str] = []
        self.count = 0

    def one(self, api: str, body: dict[str, Any]) -> None:
        """Generate one token, and compare the prompt that the server says it had."""
        sent = json.dumps({"model": self._server.model, "max_tokens": 1, "return_token_ids": True, **body}).encode()
        reply = self._server.client.post(PATHS[api], content=sent, headers={"content-type": "application/json"})
        if reply.status_code != httpx.codes.OK:
            self.different.append(f"{self.count}: HTTP {reply.status_code}")
            return
        answer = reply.json()
        ids = answer.get("prompt_token_ids") or answer["choices"][0]["prompt_token_ids"]
        request = parse(api, sent)
        self._encoder.recognise(request)
        prompt = self._encoder.encode(request)
        expected, _ = self._chain.extend(self._chain.root(scope_key("vllm", request.fields)), b"", pack(ids))
        self.count += 1
        if (prompt.tokens, prompt.chain[: len(expected)]) != (len(ids), expected):
            self.different.append(f"{self.count}: {len(ids)} ids there, {prompt.tokens} here, {prompt.source}")


def sessions(name: str) -> Iterator[list[dict[str, Any]]]:
    """The first turns of some sessions, as far as they fit the server."""
    folder = os.environ.get("WARMROUTE_TEST_DATA")
    if not folder:
        pytest.skip("WARMROUTE_TEST_DATA is not set")
    for session in itertools.islice(read_sessions(Path(folder) / f"{name}.jsonl.zst"), SESSIONS):
        fitting = [body for body in bodies(session) if len(json.dumps(body)) < MAX_BYTES]
        yield fitting[-TURNS:]


def test_chat_rules(server: RealServer) -> None:
    compared = Compared(server)
    for body in CHAT:
        compared.one("chat", body)
    print(f"\n{compared.count} chat requests compared")
    assert compared.different == []


def test_completions(server: RealServer) -> None:
    compared = Compared(server)
    for body in PROMPTS:
        compared.one("completions", body)
    print(f"\n{compared.count} completions compared")
    assert compared.different == []


@pytest.mark.parametrize("name", ["claude_code_entirecli", "tau_airline", "swe_agent", "codex_agentv"])
def test_recorded_sessions_turn_by_turn(server: RealServer, name: str) -> None:
    compared = Compared(server)
    for turns in sessions(name):
        for body in turns:
            compared.one("chat", body)
    print(f"\n{name}: {compared.count} turns compared")
    assert compared.count > 20
    assert compared.different == []


def test_one_more_turn_of_each_kind(server: RealServer) -> None:
    """What a tail or a skeleton is made for, often enough to be trusted."""
    compared, conversation = Compared(server), [{"role": "system", "content": "s"}, USER]
    for turn in range(12):
        call = {"id": f"c{turn}", "type": "function", "function": {"name": "f", "arguments": f'{{"n": {turn}}}'}}
        conversation += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{turn}", "content": f"<result>\n{turn}\n</result>"},
        ]
        compared.one("chat", {"messages": conversation})
        if turn % 3 == 2:
            conversation += [{"role": "assistant", "content": "so"}, USER]
            compared.one("chat", {"messages": conversation})
    assert compared.different == []
