"""What the encoder promises beside exact ids: what is known when, fall-backs, threads, and a free event loop."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import tokenizers

from tests.tokenizer_cache.random_chats import TOOLS, body_of
from tests.tokenizer_cache.small import small, small_raw
from tokenizer_cache.bodies.request import Request, parse
from tokenizer_cache.conversations.conversation import Room
from tokenizer_cache.encoder import LONG_TEXT_BYTES, PromptEncoder
from tokenizer_cache.tokenizers.tokenizer import Tokenizer

USER = {"role": "user", "content": "read the file and write a test " * 8}
ANSWER = {"role": "assistant", "content": "hello world " * 8}


def make(family: str = "chatml", **options: Any) -> PromptEncoder:
    return PromptEncoder("vllm", small(family), 4, b"secret", **options)


def chat(*conversation: dict[str, Any], **fields: Any) -> Request:
    return parse("chat", body_of(list(conversation), **fields))


def completion(prompt: Any, **fields: Any) -> Request:
    return parse("completions", json.dumps({"model": "m", "prompt": prompt, **fields}).encode())


def test_the_unseen_is_estimated_then_exact_then_known_at_once() -> None:
    encoder, request = make(), chat(USER)
    guess = encoder.recognise(request)
    assert (guess.exact, guess.known_blocks, guess.source) == (False, 0, "estimate")
    assert guess.chain
    assert encoder.tail_bytes(request) == len(request.body)
    exact = encoder.encode(request)
    assert (exact.exact, exact.source, exact.known_blocks) == (True, "encoded", len(exact.chain) // 8)
    again = chat(USER)
    known = encoder.recognise(again)
    assert (known.exact, known.source) == (True, "conversation")
    assert (known.chain, known.tokens) == (exact.chain, exact.tokens)
    assert encoder.tail_bytes(again) == 0
    assert encoder.encode(again).chain == exact.chain


def test_the_known_part_of_a_grown_conversation_is_exact_at_once() -> None:
    encoder = make()
    first = encoder.encode(chat(USER))
    request = chat(USER, ANSWER, USER)
    known = encoder.recognise(request)
    exact = encoder.encode(request)
    assert not known.exact
    assert len(first.chain) // 8 - 4 <= known.known_blocks <= len(first.chain) // 8
    assert exact.chain.startswith(known.chain[: 8 * known.known_blocks])
    assert abs(known.tokens - exact.tokens) < exact.tokens / 2


def test_equal_tails_in_flight_match_each_other_and_longer_ones() -> None:
    encoder = make()
    encoder.encode(chat(USER))
    one, same = encoder.recognise(chat(USER, ANSWER, USER)), encoder.recognise(chat(USER, ANSWER, USER))
    assert one.chain == same.chain
    assert encoder.recognise(chat(USER, ANSWER, USER, ANSWER, USER)).chain.startswith(one.chain)
    assert not encoder.recognise(chat(USER, USER, USER)).chain.startswith(one.chain)


def test_conversations_share_their_system_prompt_and_tools() -> None:
    encoder, system = make(), {"role": "system", "content": "You are an agent. " * 20}
    encoder.encode(chat(system, {"role": "user", "content": "one"}, tools=TOOLS))
    request = chat(system, {"role": "user", "content": "two"}, tools=TOOLS)
    known = encoder.recognise(request)
    assert known.known_blocks > 20
    before = encoder.counters.encoded_bytes
    assert encoder.encode(request).chain.startswith(known.chain[: 8 * known.known_blocks])
    assert encoder.counters.encoded_bytes - before < 100


def test_salts_models_and_formats_share_nothing() -> None:
    encoder = make()
    chains = [encoder.encode(chat(USER)).chain, encoder.encode(chat(USER, cache_salt="s")).chain]
    chains.append(encoder.encode(parse("chat", body_of([USER], model="lora"))).chain)
    chains.append(PromptEncoder("other", small("chatml"), 4, b"secret").encode(chat(USER)).chain)
    chains.append(PromptEncoder("vllm", small("chatml"), 4, b"other secret").encode(chat(USER)).chain)
    assert len({chain[:8] for chain in chains}) == 5


def test_rendering_options_share_ids_where_the_text_is_the_same() -> None:
    encoder = make()
    assert encoder.encode(chat(USER, tool_choice="none")).chain == encoder.encode(chat(USER)).chain


def test_the_same_conversation_in_another_api_has_the_same_chain() -> None:
    encoder = make()
    body = json.dumps({"model": "m", "max_tokens": 9, "system": "S", "messages": [USER]}).encode()
    other = encoder.encode(parse("messages", body))
    assert other.chain == encoder.encode(chat({"role": "system", "content": "S"}, USER)).chain
    items = json.dumps({"model": "m", "instructions": "S", "input": USER["content"]}).encode()
    assert encoder.encode(parse("responses", items)).chain == other.chain


def test_claude_codes_moving_marks_do_not_hide_a_conversation() -> None:
    encoder = make()

    def turn(text: str, marked: bool) -> dict[str, Any]:
        mark = {"cache_control": {"type": "ephemeral"}} if marked else {}
        return {"role": "user", "content": [{"type": "text", "text": text, **mark}]}

    def ask(*conversation: dict[str, Any]) -> Request:
        return parse("messages", json.dumps({"model": "m", "max_tokens": 9, "messages": conversation}).encode())

    encoder.encode(ask(turn("one " * 30, True)))
    known = encoder.recognise(ask(turn("one " * 30, False), ANSWER, turn("two", True)))
    assert known.known_blocks > 10


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (chat({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}), "media"),
        (chat(USER, chat_template="x"), "chat_template"),
        (chat(USER, truncate_prompt_tokens=5), "truncation"),
        (chat(USER, kv_transfer_params={"prompt_token_ids": ["1"]}), "token_ids"),
        (chat(USER, input_ids=[1]), "token_ids"),
        (chat({"role": 7}), "invalid"),
        (chat({"role": "user", "content": 7}), "invalid"),
        (parse("chat", b'{"model":"m","messages":[7]}'), "invalid"),
        (parse("responses", b'{"model":"m","input":"x","previous_response_id":"r"}'), "stateful"),
        (completion("x", suffix="y"), "prompt"),
        (parse("completions", b'{"model":"m","prompt_embeds":"AAAA"}'), "prompt"),
    ],
)
def test_what_cannot_be_exact_becomes_text_and_is_counted(request_: Request, reason: str) -> None:
    encoder = make()
    encoder.recognise(request_)
    prompt = encoder.encode(request_)
    assert (prompt.exact, prompt.source) == (False, "text")
    assert encoder.counters.inexact == {reason: 1}
    assert encoder.encode(request_).chain == prompt.chain


def test_what_the_template_refuses_becomes_text() -> None:
    encoder = make("gemma")
    assert encoder.encode(chat(USER, USER)).source == "text"
    assert encoder.counters.inexact == {"template": 1}
    assert encoder.encode(chat(USER)).exact


@pytest.mark.parametrize("template", [None, "{% if %}"])
def test_without_a_usable_template_completions_are_still_exact(template: str | None) -> None:
    encoder = PromptEncoder("vllm", Tokenizer(small_raw(), template, {}), 4, b"secret")
    assert encoder.encode(chat(USER)).source == "text"
    assert encoder.encode(completion("hello world")).exact


def test_token_ids_are_exact_at_once() -> None:
    encoder, ids = make(), list(range(30))
    prompt = encoder.recognise(completion(ids))
    assert (prompt.exact, prompt.tokens, prompt.source, len(prompt.chain)) == (True, 30, "ids", 56)
    lists = encoder.recognise(completion([[1, 2], ids]))
    assert (lists.tokens, lists.chain, lists.teachable) == (32, prompt.chain, False)


def test_a_completions_ids_are_those_of_the_whole_tokenizer() -> None:
    raw = tokenizers.Tokenizer.from_str(small_raw().to_str())
    bos = raw.token_to_id("<bos>")
    raw.post_processor = tokenizers.processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", bos)])
    encoder = PromptEncoder("vllm", Tokenizer(raw, None, {}), 4, b"secret")
    text = "hello world, read the file"
    ids = raw.encode(text).ids
    assert ids[0] == bos
    prompt = encoder.encode(completion(text))
    assert (prompt.exact, prompt.tokens) == (True, len(ids))
    assert prompt.chain == encoder.recognise(completion(ids)).chain
    assert encoder.encode(completion(text, add_special_tokens=False)).tokens == len(ids) - 1
    assert encoder.recognise(completion(text)).source == "conversation"


def test_several_texts_count_together_and_route_by_the_longest() -> None:
    encoder = make()
    one, other = encoder.encode(completion("hello")), encoder.encode(completion("hello world, read the file"))
    both = encoder.encode(completion(["hello", "hello world, read the file"]))
    assert (both.tokens, both.chain) == (one.tokens + other.tokens, other.chain)


def test_a_long_text_matches_by_its_bytes_and_is_counted_exactly() -> None:
    encoder, text = make(), "read the file " * (LONG_TEXT_BYTES // 10)
    request, longer = completion(text), completion(text + "and more")
    known, later = encoder.recognise(request), encoder.recognise(longer)
    assert (known.source, later.chain[: len(known.chain)]) == ("text", known.chain)
    exact = encoder.encode(request)
    assert (exact.chain, exact.exact) == (known.chain, False)
    assert exact.tokens == len(small("chatml").encode(text))


def test_one_request_may_be_read_by_several_encoders() -> None:
    one, other, request = make(), PromptEncoder("vllm/8", small("llama"), 8, b"secret"), chat(USER)
    one.recognise(request)
    other.recognise(request)
    assert one.encode(request).chain == make().encode(chat(USER)).chain
    assert other.encode(request).block_tokens == 8


def test_many_threads_give_the_same_as_one() -> None:
    encoder, truth = make(room=Room(100_000)), make()
    sessions = [[USER, *([ANSWER, {"role": "user", "content": f"{s} {t}"}] * t)] for s in range(6) for t in range(8)]
    requests = [chat(*session) for session in sessions * 3]
    with ThreadPoolExecutor(4) as pool:
        prompts = list(pool.map(encoder.encode, requests))
    for session, prompt in zip(sessions * 3, prompts, strict=True):
        expected = truth.encode(chat(*session))
        assert (prompt.chain, prompt.tokens) == (expected.chain, expected.tokens)
    assert encoder.conversations.room.size_bytes <= 100_000


async def test_a_long_encode_in_a_thread_does_not_stall_the_loop() -> None:
    encoder = make()
    text = "def read(path): return open(path).read()\n" * 20_000
    loop, gaps = asyncio.get_running_loop(), []
    started = last = time.perf_counter()
    running = loop.run_in_executor(None, encoder.counters.timed, small("chatml"), text)
    while not running.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        gaps.append(now - last)
        last = now
    assert len(await running) > 100_000
    assert encoder.counters.encode_cpu_s > 0.02
    # A held GIL would be one gap as long as the encode; a busy machine makes many short ones.
    assert len(gaps) > 500
    assert max(gaps) < 0.3 * (last - started)


def test_an_event_loop_renders_no_long_conversation() -> None:
    """A short tail after a long beginning must be compared with the whole at first: that is for a thread."""
    encoder, before = make(), [{"role": "user", "content": "read the file " * 2000}]
    encoder.encode(chat(*before))
    in_thread = []
    for turn in range(8):
        before += [{"role": "assistant", "content": "yes"}, {"role": "user", "content": f"go on {turn}"}]
        request = chat(*before)
        encoder.recognise(request)
        brief = encoder.encode_briefly(request)
        in_thread.append(brief is None)
        if brief is None:
            assert encoder.encode(request).exact
        else:
            assert brief == make().encode(request)
    assert in_thread[0]
    assert not in_thread[-1], "by then it is trusted"


def test_many_tiny_texts_are_no_short_tail() -> None:
    encoder, request = make(), completion(["a"] * 4000)
    encoder.recognise(request)
    assert encoder.tail_bytes(request) > 100_000


@pytest.mark.parametrize("field", ["tools", "documents"])
def test_a_dense_field_becomes_text(field: str) -> None:
    encoder = make()
    assert encoder.encode(chat({"role": "user", "content": "hi"}, **{field: [{}] * 100_000})).source == "text"
    assert encoder.counters.inexact["dense"] == 1
