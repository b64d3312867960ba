"""What is known of prompts whose ids workers tell, from turn to turn and across conversations."""

import json
from typing import Any

from tokenizer_cache.bodies.identity import scope_key
from tokenizer_cache.bodies.request import Request, parse
from tokenizer_cache.conversations.chain import Chain, pack
from tokenizer_cache.encoder import PromptEncoder
from tokenizer_cache.prompt import Prompt
from tokenizer_cache.rules import Served
from tokenizer_cache.text import TextEncoder
from tokenizer_cache.worker_ids import OVERHANG_TOKENS, WorkerIdsEncoder

BLOCK, SECRET = 16, b"secret"
SYSTEM = {"role": "system", "content": "You code. " * 20}
GENERATION = [7] * 5


def make(may_ask: bool = True) -> WorkerIdsEncoder:
    return WorkerIdsEncoder(TextEncoder("vllm/16", BLOCK, SECRET), SECRET, lambda request: may_ask)


def request(*messages: dict[str, Any], **fields: Any) -> Request:
    return parse("chat", json.dumps({"model": "m", "messages": messages, **fields}).encode())


def said(number: int, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": f"turn {number} " * 30}


def worker_ids(asked: Request) -> list[int]:
    """A worker's own way: an id a byte of each message, and a generation prompt."""
    return [byte for item in asked.items for byte in bytes(item)] + GENERATION


def chain_of(asked: Request) -> bytes:
    chain = Chain(BLOCK * 4, SECRET)
    return chain.extend(chain.root(scope_key("vllm/16", asked.fields)), b"", pack(worker_ids(asked)))[0]


def known(prompt: Prompt) -> bytes:
    return prompt.chain[: 8 * prompt.known_blocks]


def test_the_first_turn_is_asked_for_and_then_exact() -> None:
    encoder, asked = make(), request(SYSTEM, said(1))
    first = encoder.recognise(asked)
    assert (first.ask, first.exact, first.source, first.known_blocks) == (True, False, "worker", 0)
    told = encoder.learn(asked, worker_ids(asked))
    assert (told.exact, told.ask, told.chain, told.tokens) == (True, False, chain_of(asked), len(worker_ids(asked)))
    again = encoder.recognise(request(SYSTEM, said(1)))
    assert (again.exact, again.chain, again.tokens) == (True, told.chain, told.tokens)


def test_the_next_turn_knows_all_but_the_end_of_the_last() -> None:
    encoder, turns = make(), [SYSTEM, said(1)]
    for number in range(2, 8):
        before = request(*turns)
        encoder.recognise(before)
        encoder.learn(before, worker_ids(before))
        turns += [said(number, "assistant"), said(number)]
        now = request(*turns)
        prompt = encoder.recognise(now)
        assert prompt.ask
        assert chain_of(now).startswith(known(prompt))
        assert prompt.known_blocks * BLOCK >= len(worker_ids(before)) - OVERHANG_TOKENS - BLOCK
    assert encoder.conversations.room.size_bytes < 20_000, "turns of one conversation share their blocks"


def test_what_conversations_share_is_known_of_a_third() -> None:
    encoder = make()
    for number in (1, 2):
        asked = request(SYSTEM, said(number))
        assert encoder.recognise(asked).known_blocks == 0
        encoder.learn(asked, worker_ids(asked))
    third = request(SYSTEM, said(3))
    prompt = encoder.recognise(third)
    assert chain_of(third).startswith(known(prompt))
    assert prompt.known_blocks >= len(bytes(third.items[0])) // BLOCK - 1


def test_a_conversation_of_its_own_shares_nothing_with_itself() -> None:
    encoder, turns = make(), [SYSTEM, said(1)]
    for number in (2, 3, 4):
        asked = request(*turns)
        encoder.recognise(asked)
        encoder.learn(asked, worker_ids(asked))
        turns += [said(number, "assistant"), said(number)]
    other = encoder.recognise(request(SYSTEM, said(9)))
    assert other.known_blocks == 0, "one conversation does not say where the shared part ends"


def test_a_template_that_rewrites_what_was_told_starts_anew() -> None:
    encoder, first, second = make(), request(SYSTEM, said(1)), request(SYSTEM, said(1), said(2, "assistant"), said(2))
    encoder.recognise(first)
    encoder.learn(first, worker_ids(first))
    encoder.recognise(second)
    other_ids = list(range(1000, 2000))
    told = encoder.learn(second, other_ids)
    assert told.tokens == 1000
    third = encoder.recognise(request(*map(json.loads, map(bytes, second.items)), said(3, "assistant"), said(3)))
    assert told.chain.startswith(known(third)) and third.known_blocks > 50


def test_tools_and_salts_keep_apart() -> None:
    encoder, asked = make(), request(SYSTEM, said(1))
    encoder.recognise(asked)
    encoder.learn(asked, worker_ids(asked))
    others: list[dict[str, Any]] = [{"cache_salt": "a"}, {"tools": []}, {"reasoning_effort": "low"}]
    for fields in others:
        assert encoder.recognise(request(SYSTEM, said(1), **fields)).known_blocks == 0


def test_where_nobody_can_be_asked_prompts_are_text() -> None:
    prompt = make(may_ask=False).recognise(request(SYSTEM))
    assert (prompt.source, prompt.ask) == ("text", False)
    media = [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]
    assert make().recognise(request({"role": "user", "content": media})).source == "text"
    assert make().recognise(parse("completions", b'{"model":"m","prompt":"hello"}')).source == "text"


def test_without_an_answer_the_prompt_becomes_text() -> None:
    encoder, asked = make(), request(SYSTEM)
    assert encoder.recognise(asked).ask
    assert encoder.as_text(asked).source == "text"
    assert encoder.encode(asked).source == "text"


def test_an_exact_encoder_lets_workers_tell_what_it_cannot_render() -> None:
    from tests.tokenizer_cache.small import small

    encoder = PromptEncoder("vllm/16", small("chatml").served_by(Served()), BLOCK, SECRET)
    encoder.fall_back_to(make())
    assert not encoder.recognise(request(SYSTEM)).ask
    asked = request(SYSTEM, chat_template_kwargs={"tokenize": False})
    encoder.recognise(asked)
    prompt = encoder.encode(asked)
    assert (prompt.ask, prompt.source) == (True, "worker")
    assert encoder.from_workers is not None
    assert encoder.from_workers.learn(asked, worker_ids(asked)).exact
    assert encoder.counters.inexact == {"kwargs": 1}
