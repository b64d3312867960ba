"""Tokenizers of every build: whatever cannot be cut is encoded whole, and nothing is ever different."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tests.tokenizer_cache.random_chats import body_of
from tests.tokenizer_cache.small import LLAMA
from tokenizer_cache.bodies.identity import scope_key
from tokenizer_cache.bodies.request import parse
from tokenizer_cache.conversations.chain import Chain, pack
from tokenizer_cache.encoder import PromptEncoder
from tokenizer_cache.templates.render import Renderer
from tokenizer_cache.tokenizers.tokenizer import Tokenizer

TEXT = ["the user asks for a file and the tool returns its lines; hello world, read the file and write a test\n"] * 3
MARKS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
SECRET = b"s"
Build = Callable[[tokenizers.Tokenizer], None]


def byte_level(raw: tokenizers.Tokenizer) -> None:
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)


def byte_level_with_space(raw: tokenizers.Tokenizer) -> None:
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)


def metaspace(scheme: Any) -> Build:
    def build(raw: tokenizers.Tokenizer) -> None:
        raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
        raw.decoder = decoders.Metaspace(prepend_scheme=scheme)

    return build


def prepended(raw: tokenizers.Tokenizer) -> None:
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])


def lowered(raw: tokenizers.Tokenizer) -> None:
    raw.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)


BUILDS: dict[str, tuple[Build, dict[str, Any], bool]] = {
    "byte level": (byte_level, {}, True),
    "byte level with a space in front": (byte_level_with_space, {}, True),
    "metaspace, first": (metaspace("first"), {}, True),
    "metaspace, always": (metaspace("always"), {}, True),
    "metaspace, never": (metaspace("never"), {}, True),
    "prepended by the normalizer": (prepended, {}, True),
    "lower case": (lowered, {}, True),
    "marks that eat the space before them": (byte_level, {"lstrip": True}, False),
    "marks that eat the space after them": (byte_level, {"rstrip": True}, True),
    "marks found after normalizing": (lowered, {"normalized": True}, False),
    "marks that stand alone": (byte_level, {"single_word": True}, False),
}
"""How it is built, the options of its marks, and whether they cut text."""


def made(name: str) -> Tokenizer:
    build, options, _ = BUILDS[name]
    raw = tokenizers.Tokenizer(models.BPE(byte_fallback="metaspace" in name, unk_token="<unk>"))
    build(raw)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=["<unk>"], show_progress=False
    )
    raw.train_from_iterator(TEXT, trainer)
    raw.add_special_tokens([AddedToken(mark, **{"normalized": False, **options}) for mark in MARKS])
    bos = MARKS[0]
    raw.post_processor = processors.TemplateProcessing(f"{bos} $A", None, [(bos, raw.token_to_id(bos))])
    return Tokenizer(raw, LLAMA, {"bos_token": bos})


def turns() -> list[list[dict[str, Any]]]:
    conversation: list[dict[str, Any]] = [
        {"role": "system", "content": " You code. "},
        {"role": "user", "content": "hi"},
    ]
    found = []
    for number in range(10):
        found.append(list(conversation))
        call = {"id": f"c{number}", "type": "function", "function": {"name": "read", "arguments": '{"n": 1}'}}
        conversation += [
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{number}", "content": f" Line {number}\n <|eot_id|> é ▁x "},
        ]
    return found


@pytest.mark.parametrize("name", BUILDS)
def test_every_turn_is_exact(name: str) -> None:
    tokenizer, cuts = made(name), BUILDS[name][2]
    assert set(MARKS).isdisjoint(tokenizer.cut_tokens) != cuts
    encoder, renderer, chain = PromptEncoder("t", tokenizer, 1, SECRET), Renderer(tokenizer), Chain(4, SECRET)
    for conversation in turns():
        request = parse("chat", body_of(conversation))
        encoder.recognise(request)
        prompt = encoder.encode(request)
        ids = tokenizer.encode(renderer.full(renderer.call("chat", json.loads(request.body))))
        expected, _ = chain.extend(chain.root(scope_key("t", request.fields)), b"", pack(ids))
        assert (prompt.exact, prompt.tokens, prompt.chain) == (True, len(ids), expected)
    assert (encoder.counters.hits["tail"] > 0) == cuts
