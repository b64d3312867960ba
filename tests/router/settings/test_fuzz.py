"""Whatever is wrong with the configuration: exit code 2 and one line that names the setting, without a secret.

Values are drawn by a seeded generator for every setting and source; those that the settings accept are left out, the
others go through the command itself. What only a file can get wrong (TOML, keys) is mutated byte by byte.
"""

import json
import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cli import main
from router.settings import SettingsError, load
from router.settings.fields import declared
from router.settings.setting import Setting
from tests.router.clients.files import SALT, hash_of, table, write

MARK = "hush"
"""Stands in every value that could be a secret; must never be shown."""
TEXTS = (
    *("", " ", "x", "-1", "0.0000001", "1e999", "nan", "inf", "9" * 30, "1.5", "1_0", "yes please", "ö", "a b", "a\nb"),
    *("http://", "ftp://x", "http://u:hush@x", "redis://:hush@", "/absent/file", "./absent", "1GiBB", "=", "a=", "=b"),
    *("[::1", "10.0.0.0/99", "*", "package:", "\x7f", "a,b,,c", "true", "../..", "http://a/v1", "x" * 3000),
)
VALUES = (
    *("true", "false", "3", "-1", "1e400", "nan", "[]", "[1]", '["a b"]', "[[1]]", "{}", "{a = 1}", "{a = {b = 1}}"),
    *("1979-05-27", "07:32:00", '""', '"a b"', '"/absent/file"', '"http://u:hush@x"', "99999999999999999999"),
)
BASE = {"WARMROUTE_WORKER": "http://a:8000"}


class Case(NamedTuple):
    """One way to configure a router wrongly."""

    flags: list[str]
    environ: dict[str, str]
    told: dict[str, object]
    """The flags as `load` takes them."""


def refused(case: Case) -> bool:
    """Do the settings refuse it? Whatever else they raise is a failure of the test."""
    try:
        load(case.told, case.environ)
    except SettingsError as error:
        assert "\n" not in str(error)
        assert MARK not in str(error)
        return True
    return False


def drawn(setting: Setting, rng: random.Random) -> Iterator[str]:
    yield from TEXTS
    for _ in range(8):
        yield "".join(rng.choices("0123456789abc.-:/=[]{}\"' ,%&é\t", k=rng.randrange(1, 12)))


def cases(setting: Setting, folder: Path, rng: random.Random) -> Iterator[Case]:
    """By flag, by variable, by file."""
    for text in drawn(setting, rng):
        value = f"{text}{MARK} {MARK}" if setting.kind.secret else text
        if setting.kind.metavar and not value.startswith("-"):
            yield Case([f"{setting.flag}={value}"], BASE, {setting.name: [value] if setting.kind.many else value})
        if value and "\0" not in value:
            yield Case([], {**BASE, setting.variable: value}, {})
    for number, value in enumerate(VALUES):
        if setting.kind.secret and '"' in value:
            continue
        path = folder / f"{setting.name}-{number}.toml"
        path.write_text(f"{setting.name} = {value}\n")
        yield Case([f"--config={path}"], BASE, {"config": str(path)})


@pytest.mark.parametrize("setting", declared(), ids=lambda setting: setting.name)
def test_every_wrong_value_is_one_line_that_names_it(
    setting: Setting, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(setting.name)
    wrong = [case for case in cases(setting, tmp_path, rng) if refused(case)]
    assert len(wrong) >= 5
    for case in rng.sample(wrong, 5):
        assert complaint(case, capsys).startswith((setting.flag, setting.variable, str(tmp_path)))
        assert main(["serve", *case.flags], case.environ) == 2
        assert setting.name in capsys.readouterr().err.replace("-", "_").lower()


def complaint(case: Case, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says, which must be one line, without its beginning."""
    assert main(["serve", *case.flags], case.environ) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(r"warmroute: error: [^\n]+\n", shown.err), shown.err
    assert MARK not in shown.err
    assert "Traceback" not in shown.err
    return shown.err.removeprefix("warmroute: error: ")


@pytest.mark.parametrize("seed", range(20))
def test_misspelt_names(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(seed)
    known = {setting.name for setting in declared()} | {setting.file_name for setting in declared()} | {"config"}
    setting = rng.choice([setting for setting in declared() if len(setting.name) > 3])
    place = rng.randrange(1, len(setting.name) - 1)
    name = setting.name[:place] + rng.choice("xyzq") + setting.name[place + rng.randrange(2) :]
    if name in known:
        return
    path = tmp_path / "router.toml"
    path.write_text(f"{name} = '{MARK}'\n")
    flag = "--" + name.replace("_", "-")
    for flags, environ, named in (
        ([f"{flag}={MARK}"], BASE, flag),
        ([flag, MARK], BASE, flag),
        ([], {**BASE, f"WARMROUTE_{name.upper()}": MARK}, f"WARMROUTE_{name.upper()}"),
        ([f"--config={path}"], BASE, f"{path}: {name}"),
    ):
        assert complaint(Case(flags, environ, {}), capsys).startswith(f"{named}: is no setting")


@pytest.mark.parametrize("setting", [s for s in declared() if s.kind.metavar][::6], ids=lambda setting: setting.name)
def test_a_flag_without_its_value(setting: Setting, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["serve", setting.flag], BASE)
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"warmroute: error: {setting.flag}: expected one argument\n"


def keys_cases(folder: Path) -> Iterator[tuple[Mapping[str, object], Mapping[str, str], str]]:
    """Conflicts with a keys file, and keys files that cannot be used."""
    good = write(folder / "good", table("a", "key-of-a-client"))
    bad = folder / "bad"
    bad.write_text(f"salt = '{MARK}'")
    yield {"keys_file": str(folder)}, BASE, "--keys-file: must be a file"
    yield {"keys_file": "/absent"}, BASE, "--keys-file: must be a file"
    yield {"keys_file": str(bad)}, BASE, f"--keys-file: {bad}: "
    yield {}, {**BASE, "WARMROUTE_KEYS_FILE": str(bad)}, f"WARMROUTE_KEYS_FILE: {bad}: "
    admin = {"keys_file": str(good), "admin_api_key": "key-of-a-client"}
    yield admin, BASE, "--admin-api-key: must not be one of the keys of keys_file"
    plain = {"keys_file": str(good), "api_key": ["other", "key-of-a-client"]}
    yield plain, BASE, "--api-key: must not be one of the keys of keys_file"


def test_keys_files_in_conflict(tmp_path: Path) -> None:
    for flags, environ, expected in keys_cases(tmp_path):
        with pytest.raises(SettingsError) as caught:
            load(flags, environ)
        assert str(caught.value).startswith(expected)
        assert MARK not in str(caught.value)
        assert "key-of-a-client" not in str(caught.value)


def mutated(data: st.DataObject, text: bytes) -> bytes:
    """A few bytes changed, taken out or put in."""
    changed = bytearray(text)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1))
        what = data.draw(st.sampled_from(["change", "cut", "insert", "end"]))
        if what == "end":
            del changed[place + 1 :]
        elif what == "cut":
            del changed[place : place + data.draw(st.integers(1, 5))]
        else:
            changed[place : place + (what == "change")] = data.draw(st.binary(min_size=1, max_size=3))
        if not changed:
            break
    return bytes(changed)


TOML = b"""worker = ["http://a:1"]\nport = 80\napi_key = ["hush-1", "hush-2"]\n[model_tokenizer]\n"a/b" = "off"\n"""


@given(st.data())
def test_a_damaged_toml_file(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "router.toml"
    path.write_bytes(mutated(data, TOML))
    try:
        load({"config": str(path)}, {})
    except SettingsError as error:
        assert str(error).startswith((f"{path}: ", "--config: ", "--worker: "))
        assert "hush-" not in str(error)
        assert "\n" not in str(error)


KEYS = (
    f'salt = "{SALT}"\n[[key]]\nlabel = "a"\nhash = ["{hash_of("k1")}", "{hash_of("k2")}"]\nweight = 2\n'
    f'models = ["m"]\nexpires = 2027-01-01\n[[key]]\nlabel = "b"\nhash = "{hash_of("k3")}"\n'
).encode()


@given(st.data())
def test_a_damaged_keys_file(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "keys.toml"
    path.write_bytes(mutated(data, KEYS))
    try:
        load({"worker": ["http://a"], "keys_file": str(path)}, {})
    except SettingsError as error:
        assert str(error).startswith(f"--keys-file: {path}: ")
        assert "\n" not in str(error)
        assert not re.search(r"[0-9a-f]{24}", str(error)), "neither a hash nor the salt"


def test_json_in_place_of_toml(tmp_path: Path) -> None:
    path = tmp_path / "router.json"
    path.write_text(json.dumps({"worker": ["http://a"]}))
    with pytest.raises(SettingsError, match=r"^--config: .*router\.json is not TOML"):
        load({"config": str(path)}, {})
