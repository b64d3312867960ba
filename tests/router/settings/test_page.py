"""The page of settings. That docs/configuration.md is this page: `tests/test_docs`."""

from router.settings.fields import declared
from router.settings.gone import GONE
from router.settings.page import page

LINES = page().splitlines()


def row(name: str) -> str:
    (found,) = [line for line in LINES if line.startswith(f"| `{name}`")]
    return found


def test_each_setting_has_one_row_with_all_its_names() -> None:
    for setting in declared():
        cells = row(setting.name).split(" | ")
        assert cells[0] == f"| `{setting.name}`<br>`{setting.flag}`<br>`{setting.variable}`"
        assert cells[1] == (f"`{setting.default_text}`" if setting.default_text else "unset")
        assert cells[2] == setting.kind.allowed
        assert cells[3].startswith(setting.help)


def test_a_secret_says_how_a_file_is_named() -> None:
    assert "From a file (one key a line): `--api-key-file`, `WARMROUTE_API_KEY_FILE`. |" in row("api_key")
    assert "From a file" not in row("port")


def test_groups_are_sections_in_the_declared_order() -> None:
    titles = [line[3:] for line in LINES if line.startswith("## ")]
    assert titles == [
        *dict.fromkeys(setting.group for setting in declared()),
        "Gone in this version",
        "Coming from another router",
    ]


def test_what_is_gone_says_what_to_do_instead() -> None:
    assert [row(name) for name in GONE] == [f"| `{name}` | {instead} |" for name, instead in GONE.items()]
