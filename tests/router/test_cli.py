"""The command: what it says, and that it says it without a traceback."""

import os
import re
import subprocess
import sys

import pytest
import shtab

from router.cli import main, parser_of_all
from router.settings.fields import declared
from router.settings.setting import flag_of


def run(*flags: str, environ: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "router", *flags]
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=30, check=False)


@pytest.fixture(scope="module")
def help_text() -> str:
    """`warmroute serve --help` as one line of words, none of them broken."""
    result = run("serve", "--help", environ={**os.environ, "COLUMNS": "1000"})
    assert result.returncode == 0
    return " ".join(result.stdout.split())


def test_help_explains_every_setting(help_text: str) -> None:
    for setting in declared():
        default = f"default {setting.default_text}; " if setting.default_text else ""
        repeatable = " Repeatable." if setting.kind.many else ""
        words = f"{setting.flag} {setting.kind.metavar}" if setting.kind.metavar else f"{setting.flag}, --no-"
        explained = f"{setting.help}{repeatable} [{default}{setting.variable}]"
        assert re.search(rf"{re.escape(words)}\S* {re.escape(explained)}", help_text), setting.name


def test_help_has_a_file_for_every_secret(help_text: str) -> None:
    files = [setting.file_name for setting in declared() if setting.kind.secret]
    assert "api_key_file" in files
    assert all(f"{flag_of(name)} FILE The same from a file" in help_text for name in files)


def test_help_has_the_groups_in_order(help_text: str) -> None:
    groups = list(dict.fromkeys(setting.group for setting in declared()))
    places = [help_text.index(f" {group}: --") for group in groups]
    assert places == sorted(places)


def test_version() -> None:
    assert re.fullmatch(r"warmroute \d+\.\d+\.\d+\n", run("--version").stdout)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--port", "none"], "--port: must be a whole number from 0 to 65535, not 'none'"),
        (["--port=none"], "--port: must be a whole number"),
        (["--polcy", "random"], "--polcy: is no setting; did you mean --policy?"),
        (["--api-kye=hush"], "--api-kye: is no setting; did you mean --api-key?"),
        (["--work", "http://a"], "--work: is no setting; did you mean --worker?"),
        (["--quiet"], "--quiet: is no setting"),
        (["http://a"], "http://a: is no setting"),
        (["--redis", "redis://cache:6379"], "--redis: needs index_secret. It must be the same on every router"),
        ([], "--worker: name at least one"),
    ],
)
def test_bad_setting_is_one_line_and_code_2(
    flags: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *flags], environ={}) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"warmroute: error: {complaint}")
    assert shown.err.count("\n") == 1
    assert "hush" not in shown.err


@pytest.mark.parametrize("arguments", [[], ["serv"]])
def test_wrong_usage_exits_with_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: warmroute" in capsys.readouterr().err


def test_environment_is_read_by_the_command() -> None:
    result = run("serve", environ={"WARMROUTE_PROT": "1"})
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "warmroute: error: WARMROUTE_PROT: is no setting; did you mean WARMROUTE_PORT?\n"


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_shells_complete_commands_and_flags(shell: str) -> None:
    text = shtab.complete(parser_of_all(), shell)
    for word in ("serve", "check", "--worker", "--trace-file", "--admin-api-key-file"):
        assert word in text
    assert shell != "bash" or subprocess.run(["bash", "-n"], input=text, text=True, timeout=30, check=True)
