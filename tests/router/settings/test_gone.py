"""What a version no longer has: accepted from every source, ignored, and named in one warning."""

import argparse
from pathlib import Path

import pytest

from router.cli import main
from router.settings import Settings, SettingsError, load
from router.settings.fields import declared
from router.settings.gone import GONE, warning
from router.settings.setting import flag_of, variable_of
from router.settings.sources import names

BASE = {"WARMROUTE_WORKER": "http://a:8000"}
BAD = ["no number", "-1", "1e999", "[[", "ö", ""]


def started(flags: list[str], environ: dict[str, str]) -> list[Settings]:
    """What the command would have served with."""
    found: list[Settings] = []

    def start(settings: Settings) -> int:
        found.append(settings)
        return 0

    assert main(["serve", *flags], {**BASE, **environ}, start) == 0
    return found


@pytest.mark.parametrize("name", GONE)
@pytest.mark.parametrize("value", ["1", *BAD])
def test_each_is_ignored_from_every_source_and_named_once(
    name: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "router.toml"
    path.write_text(f"{name} = '{value}'\n")
    flag, variable = flag_of(name), variable_of(name)
    sources: list[tuple[list[str], dict[str, str], str]] = [
        ([f"{flag}={value}"], {}, flag),
        ([f"--config={path}"], {}, f"{path}: {name}"),
    ]
    if value:
        sources.append(([], {variable: value}, variable))
    for flags, environ, named in sources:
        assert started(flags, environ) == [Settings(workers=("http://a:8000",))]
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("warmroute: warning: ignored, since this version has no such setting: ")
        assert f": {named} (" in shown.err
        assert GONE[name].rstrip(".") in shown.err
        assert shown.err.count("\n") == 1


@pytest.mark.parametrize("value", ["[]", "{a = 1}", "true", "nan", "1979-05-27"])
def test_the_file_may_hold_any_value(value: str, tmp_path: Path) -> None:
    path = tmp_path / "router.toml"
    path.write_text("".join(f"{name} = {value}\n" for name in GONE))
    warnings: list[str] = []
    assert load({"config": str(path)}, BASE, warnings.append) == load({}, BASE)
    assert len(warnings) == 1
    assert all(f"{path}: {name} (" in warnings[0] for name in GONE)


def test_one_warning_names_all_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "router.toml"
    path.write_text("seed = 1\nport = 9\n")
    environ = {"WARMROUTE_CONFIG": str(path), "WARMROUTE_SEED": "2", "WARMROUTE_BLOCK_TOKENS": ""}
    (settings,) = started(["--write-timeout-s", "5", "--max-attempts", "2"], environ)
    assert (settings.port, settings.max_attempts) == (9, 2)
    assert capsys.readouterr().err == "warmroute: warning: " + (
        "ignored, since this version has no such setting: "
        "--write-timeout-s (Nothing to do: the value is fixed); "
        "WARMROUTE_SEED (Nothing to do: it is drawn at start); "
        f"{path}: seed (Nothing to do: it is drawn at start)\n"
    )


def test_nothing_gone_is_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    started(["--port", "1"], {})
    assert capsys.readouterr().err == ""
    assert warning([]) == ""


def test_flag_without_a_value_and_flag_given_twice(capsys: pytest.CaptureFixture[str]) -> None:
    started(["--seed", "--port", "1"], {})
    started(["--seed", "1", "--seed", "2"], {})
    assert capsys.readouterr().err.count("--seed (") == 2


def test_wrong_setting_is_refused_beside_a_gone_one() -> None:
    with pytest.raises(SettingsError, match=r"^--port: must be"):
        load({"seed": "1", "port": "x"}, BASE, lambda text: None)
    with pytest.raises(SettingsError, match=r"^WARMROUTE_SEEDS: is no setting"):
        load({}, {**BASE, "WARMROUTE_SEEDS": "1"})


def test_nothing_is_both_gone_and_there() -> None:
    assert not set(GONE) & set(names())


def test_advice_names_settings_that_exist() -> None:
    known = {setting.name for setting in declared()}
    for name, instead in GONE.items():
        words = {word.strip(".,:").partition("=")[0] for word in instead.split() if "_" in word}
        assert words <= known, name


def test_help_is_silent_on_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    words = set(capsys.readouterr().out.replace(",", " ").split())
    assert not {flag_of(name) for name in GONE} & words
    assert argparse.SUPPRESS not in words
