"""The declaration: names, defaults and explanations hold together."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from router.build.tuning import Tuning
from router.dial.allow import read_rule
from router.settings import Secret, Settings
from router.settings.conflicts import conflicts
from router.settings.fields import declared
from router.settings.setting import Setting

ROUTER = Path(__file__).parents[3] / "router"


def names(setting: Setting) -> str:
    return setting.name


@pytest.mark.parametrize("setting", declared(), ids=names)
def test_default_is_an_allowed_value(setting: Setting) -> None:
    if setting.default_text:
        assert setting.kind.read(setting.default_text) == setting.default
    else:
        assert setting.default in (None, (), "", {})


@pytest.mark.parametrize("setting", declared(), ids=names)
def test_explanation_is_a_sentence_that_holds_in_a_table(setting: Setting) -> None:
    assert setting.help[0].isupper() or setting.help.startswith("auto")
    assert setting.help.endswith(".")
    assert not set("|\n") & set(setting.help + setting.kind.allowed)


@pytest.mark.parametrize("setting", declared(), ids=names)
def test_explanation_is_plain(setting: Setting) -> None:
    """Short sentences, quantities as numbers with their unit, and machines that are no persons."""
    sentences = re.split(r"(?<=[.]) ", setting.help)
    assert max(len(sentence.split()) for sentence in sentences) <= 30
    assert not re.search(r"\b(so long|so many|so much|who|whoever|nobody's|beyond it|its way)\b", setting.help)


@pytest.mark.parametrize("setting", declared(), ids=names)
def test_unit_is_in_the_name(setting: Setting) -> None:
    units = {"SECONDS": "_s", "MILLISECONDS": "_ms", "BYTES": "_bytes"}
    for metavar, suffix in units.items():
        assert (setting.kind.metavar == metavar) == setting.name.endswith(suffix)


def test_the_router_reads_every_setting() -> None:
    """A setting that nothing reads is a promise that nobody keeps."""
    sources = [path.read_text() for path in ROUTER.rglob("*.py") if path.parent != ROUTER / "settings"]
    read = set(re.findall(r"settings\.(\w+)", "\n".join(sources)))
    assert {setting.field for setting in declared()} <= read


def test_the_router_reads_all_of_its_tuning() -> None:
    """And no value of it is a setting as well."""
    sources = [path.read_text() for path in (ROUTER / "build").glob("*.py")]
    read = set(re.findall(r"tuning\.(\w+)", "\n".join(sources)))
    tuned = {field.name for field in dataclasses.fields(Tuning)}
    assert tuned <= read
    assert not tuned & {setting.field for setting in declared()}


def test_names_are_unique() -> None:
    found = [name for setting in declared() for name in (setting.name, setting.file_name) if name]
    assert len(set(found)) == len(found)


def test_secrets_are_not_in_the_repr() -> None:
    secret = Secret("hush")
    secrets: dict[str, Any] = {s.field: (secret,) if s.kind.many else secret for s in declared() if s.kind.secret}
    assert set(secrets) == {"api_keys", "admin_api_key", "worker_api_key", "index_secret", "redis_password"}
    assert "hush" not in repr(Settings(**secrets))


def test_settings_cannot_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


def test_defaults_only_lack_a_worker() -> None:
    assert [field for field, _ in conflicts(Settings())] == ["workers"]
    assert list(conflicts(Settings(workers=("http://a",)))) == []
    assert [field for field, _ in conflicts(Settings(admin_api_key=Secret("k")))] == ["worker_allow"]
    assert list(conflicts(Settings(admin_api_key=Secret("k"), worker_allow=(read_rule("10.0.0.1"),)))) == []
