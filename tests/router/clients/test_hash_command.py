"""`warmroute hash-key`: what it prints is what the keys file takes."""

import io
from pathlib import Path

import pytest

from router.cli import main
from router.clients import Clients
from tests.router.clients.clock import Clock
from tests.router.clients.files import table, write

KEY = "a-key-of-at-least-twenty-characters"


def asked(monkeypatch: pytest.MonkeyPatch, text: str, *flags: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return main(["hash-key", *flags], {})


def test_a_first_key_makes_a_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(monkeypatch, KEY + "\n", "--label", "team-a") == 0
    printed = capsys.readouterr().out
    assert KEY not in printed
    path = tmp_path / "keys"
    path.write_text(printed)
    client = Clients([], path, Clock()).find(f"Bearer {KEY}".encode())
    assert client is not None
    assert client.label == "team-a"


def test_a_further_key_has_the_salt_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "keys", table("a", "key-a"))
    assert asked(monkeypatch, "", "--new", "--keys-file", str(path), "--label", "b") == 0
    printed = capsys.readouterr().out
    assert "salt" not in printed
    path.write_text(path.read_text() + printed)
    key = printed.rpartition(": ")[2].strip()
    client = Clients([], path, Clock()).find(f"Bearer {key}".encode())
    assert client is not None
    assert client.label == "b"


@pytest.mark.parametrize(
    ("text", "flags", "complaint"),
    [
        ("", [], "at least 20 characters"),
        ("hush-short\n", [], "at least 20 characters"),
        ("hush with spaces and more\n", [], "visible ASCII"),
        ("hush-ключ-ключ-ключ-ключ\n", [], "visible ASCII"),
        (KEY, ["--keys-file", "/absent"], "--keys-file: /absent cannot be read"),
        (KEY, ["hush-as-an-argument"], "standard input"),
    ],
)
def test_refusals(
    text: str,
    flags: list[str],
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert asked(monkeypatch, text, *flags) == 2
    shown = capsys.readouterr()
    assert complaint in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""
    assert "hush" not in shown.err.removeprefix("warmroute: error: hash-key")
