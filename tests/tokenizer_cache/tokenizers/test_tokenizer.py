"""Loading, and which tokens text may be cut at."""

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from tests.tokenizer_cache.random_chats import CONTENT
from tests.tokenizer_cache.small import CHATML, SPECIAL, small, small_raw
from tokenizer_cache.tokenizers.load import load
from tokenizer_cache.tokenizers.tokenizer import Tokenizer, TokenizerUnavailable


def with_token(token: tokenizers.AddedToken) -> Tokenizer:
    raw = tokenizers.Tokenizer.from_str(small_raw().to_str())
    raw.add_special_tokens([token])
    return Tokenizer(raw, CHATML, {})


def test_all_the_small_tokenizers_tokens_cut() -> None:
    assert set(small("chatml").cut_tokens) == set(SPECIAL)


@given(st.lists(st.one_of(CONTENT, st.sampled_from(SPECIAL), st.text(max_size=8)), max_size=8))
def test_text_cut_at_a_cut_token_gives_the_same_ids(pieces: list[str]) -> None:
    tokenizer, text = small("chatml"), "".join(pieces)
    at = tokenizer.last_cut(text)
    while at >= 0:
        assert tokenizer.encode(text[:at]) + tokenizer.encode(text[at:]) == tokenizer.encode(text)
        at = tokenizer.last_cut(text, at)


def test_the_last_cut_is_found_near_and_far() -> None:
    tokenizer = small("chatml")
    assert tokenizer.last_cut("plain") == -1
    assert tokenizer.last_cut("<bos>a<|im_end|>b") == 6
    assert tokenizer.last_cut("<bos>" + "x" * 5000) == 0
    assert tokenizer.last_cut("<bos>a<|im_end|>b", 10) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"lstrip": True},
        {"normalized": True},
        {"single_word": True},
        {"content": "d|><|im"},
        {"content": "<|reserved_1|>"},
    ],
)
def test_tokens_that_reach_over_their_edges_do_not_cut(options: dict[str, Any]) -> None:
    content = options.pop("content", "<odd>")
    tokenizer = with_token(tokenizers.AddedToken(content, **({"normalized": False} | options)))
    assert content not in tokenizer.cut_tokens


def test_a_token_that_another_one_reaches_into_does_not_cut() -> None:
    assert "<|im_end|>" not in with_token(tokenizers.AddedToken("x<|im_", normalized=False)).cut_tokens
    assert "<|im_end|>" not in with_token(tokenizers.AddedToken("x<|im_end|>y", normalized=False)).cut_tokens
    assert "<|im_end|>" in with_token(tokenizers.AddedToken("<|im_end|>y", normalized=False)).cut_tokens


def save(folder: Path, **config: Any) -> Path:
    small_raw().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **config}))
    return folder


def test_a_file_is_loaded_with_what_lies_beside_it(tmp_path: Path) -> None:
    folder = save(tmp_path, chat_template=CHATML, bos_token={"content": "<bos>"}, add_bos_token=True)
    loaded = load(str(folder / "tokenizer.json"))
    assert (loaded.chat_template, loaded.special_tokens, loaded.not_exact) == (CHATML, {"bos_token": "<bos>"}, None)
    (folder / "chat_template.jinja").write_text("other")
    assert load(str(folder / "tokenizer.json")).chat_template == "other"


def test_a_folder_is_loaded_as_transformers_does(tmp_path: Path) -> None:
    loaded = load(str(save(tmp_path, chat_template=CHATML, bos_token="<bos>")))
    assert loaded.chat_template == CHATML
    assert loaded.special_tokens == {"bos_token": "<bos>"}
    assert loaded.encode("read<|im_end|>") == small("chatml").encode("read<|im_end|>")


def test_several_templates_and_none(tmp_path: Path) -> None:
    named = [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]
    loaded = load(str(save(tmp_path, chat_template=named) / "tokenizer.json"))
    assert (loaded.chat_template, loaded.has_tool_template) == ("d", True)
    assert load(str(save(tmp_path) / "tokenizer.json")).not_exact == "no_chat_template"


@pytest.mark.parametrize("model_type", ["gpt_oss", "deepseek_v32"])
def test_models_that_build_prompts_in_code_are_not_exact(tmp_path: Path, model_type: str) -> None:
    folder = save(tmp_path, chat_template=CHATML)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    assert load(str(folder / "tokenizer.json")).not_exact == "not_plain_jinja"
    assert load(str(folder)).not_exact == "not_plain_jinja"


def test_what_cannot_be_loaded_says_so(tmp_path: Path) -> None:
    for content in ("{", "{}", "[]"):
        (tmp_path / "tokenizer.json").write_text(content)
        with pytest.raises(TokenizerUnavailable):
            load(str(tmp_path / "tokenizer.json"))
    with pytest.raises(TokenizerUnavailable):
        load(str(tmp_path))


def test_truncation_and_padding_are_switched_off() -> None:
    raw = tokenizers.Tokenizer.from_str(small_raw().to_str())
    raw.enable_truncation(4)
    raw.enable_padding(length=64)
    assert Tokenizer(raw, CHATML, {}).encode("hello world " * 9) == small("chatml").encode("hello world " * 9)


def test_a_path_of_another_machine_is_called_what_it_is() -> None:
    with pytest.raises(TokenizerUnavailable, match="no such file or folder on this machine"):
        load("/models/of/a/worker")


def test_a_file_whose_class_changes_it_is_loaded_as_engines_do(tmp_path: Path) -> None:
    """transformers builds a Llama tokenizer anew, whatever normalizer its file has."""
    raw = tokenizers.Tokenizer(tokenizers.models.BPE(byte_fallback=True, unk_token="<unk>"))
    raw.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.Prepend("▁"), tokenizers.normalizers.Replace(" ", "▁")]
    )
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=60, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False
    )
    raw.train_from_iterator(["the user  asks  for a file"] * 4, trainer)
    raw.save(str(tmp_path / "tokenizer.json"))
    config = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    text = "  the user"
    assert load(str(tmp_path / "tokenizer.json")).encode(text) == load(str(tmp_path)).encode(text)


def test_another_template_leaves_the_tokenizer_alone(tmp_path: Path) -> None:
    folder = str(save(tmp_path, chat_template=CHATML))
    changed = load(folder, "other")
    assert (changed.chat_template, load(folder).chat_template) == ("other", CHATML)
    assert small("chatml").with_template("x").cut_tokens == small("chatml").cut_tokens
