"""The rights of the router in Redis are those that it needs: every command in the code, and no other kind."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docker/secrets.sh"
BEFORE_LOGIN = {"auth"}
"""Allowed to everybody."""
SENTINELS_OWN = {"sentinel"}
"""Asked of Sentinel, which has users of its own."""


def used() -> set[str]:
    """Commands that Lua and Python send, in lower case."""
    lua = "\n".join(path.read_text() for path in (ROOT / "router").rglob("*.lua"))
    python = "\n".join(path.read_text() for path in (ROOT / "router").rglob("*.py"))
    found = re.findall(r"\bp?call\(['\"](\w+)", lua) + re.findall(r"\bcommand\(\s*['\"](\w+)", python)
    found += re.findall(r"\(\s*\(?['\"](EVAL|EVALSHA)['\"]", python)
    found += [
        "|".join(words) for words in re.findall(r"execute_command\(\s*['\"](\w+)['\"], ['\"](\w+)['\"]\)", python)
    ]
    return {name.lower() for name in found}


def granted(text: str) -> set[str]:
    (line,) = re.findall(r"^user warmroute .*$(?:\n  \+.*$)*", text, re.MULTILINE)
    assert "-@all" in line
    assert "~{warmroute}:*" in line
    return set(re.findall(r"(?<=\+)[a-z|@]+", line))


def written(tmp_path: Path) -> str:
    """What the script writes, run in a folder of its own."""
    (tmp_path / SCRIPT.name).write_text(SCRIPT.read_text())
    subprocess.run(["sh", str(tmp_path / SCRIPT.name)], check=True, timeout=10)
    return (tmp_path / "secrets/redis_users").read_text()


def test_every_command_is_granted_and_no_group_of_them(tmp_path: Path) -> None:
    rights = granted(written(tmp_path))
    missing = used() - rights - BEFORE_LOGIN - SENTINELS_OWN
    assert not missing, "grant it in docker/secrets.sh and docs/security.md"
    assert not [right for right in rights if right.startswith("@")]
    assert rights <= used()


def test_there_is_no_default_user(tmp_path: Path) -> None:
    assert written(tmp_path).startswith("user default off\n")


def test_secrets_that_are_there_stay(tmp_path: Path) -> None:
    first = written(tmp_path)
    key = (tmp_path / "secrets/api_key").read_text()
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert written(tmp_path) == first
    assert (tmp_path / "secrets/api_key").read_text() == key


def test_the_page_on_security_says_the_same(tmp_path: Path) -> None:
    page = (ROOT / "docs/security.md").read_text()
    assert granted(page) == granted(written(tmp_path))
