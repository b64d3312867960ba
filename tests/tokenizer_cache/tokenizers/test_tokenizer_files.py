"""A tokenizer from its files, whatever lies beside it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tokenizer_cache.small import CHATML, small, small_raw
from tokenizer_cache.tokenizers.tokenizer_files import NOT_PLAIN, load_file


def folder_of(path: Path, **files: Any) -> Path:
    small_raw().save(str(path / "tokenizer.json"))
    for name, value in files.items():
        (path / f"{name}.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return path / "tokenizer.json"


def test_a_tokenizer_file_alone_has_no_template(tmp_path: Path) -> None:
    loaded = load_file(folder_of(tmp_path), CHATML)
    assert loaded.encode("hello") == small("chatml").encode("hello")
    assert (loaded.chat_template, loaded.not_exact) == (CHATML, None)
    assert load_file(tmp_path / "tokenizer.json").chat_template is None


@pytest.mark.parametrize(
    ("template", "expected", "for_tools"),
    [
        ("one", "one", False),
        ([{"name": "default", "template": "one"}, {"name": "rag", "template": "two"}], "one", False),
        ([{"name": "default", "template": "one"}, {"name": "tool_use", "template": "two"}], "one", True),
        ({"tool_use": "two"}, "fallback", True),
        (3, "fallback", False),
    ],
)
def test_templates_of_the_configuration(tmp_path: Path, template: Any, expected: str, for_tools: bool) -> None:
    loaded = load_file(folder_of(tmp_path, tokenizer_config={"chat_template": template}), "fallback")
    assert (loaded.chat_template, loaded.has_tool_template) == (expected, for_tools)


def test_a_template_file_comes_before_the_configuration(tmp_path: Path) -> None:
    path = folder_of(tmp_path, tokenizer_config={"chat_template": "one"})
    (tmp_path / "chat_template.jinja").write_text("two")
    assert load_file(path).chat_template == "two"


def test_special_tokens_are_texts(tmp_path: Path) -> None:
    config = {"bos_token": {"content": "<bos>"}, "eos_token": "<|im_end|>", "pad_token": None, "add_bos_token": True}
    loaded = load_file(folder_of(tmp_path, tokenizer_config=config))
    assert loaded.special_tokens == {"bos_token": "<bos>", "eos_token": "<|im_end|>"}


@pytest.mark.parametrize("kind", sorted(NOT_PLAIN))
def test_models_whose_engines_use_no_template_are_not_exact(tmp_path: Path, kind: str) -> None:
    assert load_file(folder_of(tmp_path, config={"model_type": kind})).not_exact == "not_plain_jinja"


def test_an_ordinary_model_is_exact(tmp_path: Path) -> None:
    assert load_file(folder_of(tmp_path, config={"model_type": "qwen3"}), CHATML).not_exact is None
