"""One setting: the names that follow from its own, and what it shows."""

import dataclasses

from router.settings.setting import Kind, Secret, Setting, setting

TEXT = Kind(str, "any text")
KEYS = Kind(str, "any text", secret=True, many=True)
PAIRS = Kind(str, "pairs", mapping=True)


@dataclasses.dataclass(frozen=True)
class Declared:
    one_word: str = setting("Group", "x", TEXT, "Help.")
    many: tuple[str, ...] = setting("Group", (), KEYS, "Help.", name="each_key")
    pairs: dict[str, str] = setting("Group", {}, PAIRS, "Help.")
    unset: str | None = setting("Group", None, TEXT, "Help.")
    sized: int = setting("Group", 2, Kind(str, "a size", show=lambda n: f"{n} KiB"), "Help.")


ONE, MANY, PAIR, UNSET, SIZED = (Setting.of(field) for field in dataclasses.fields(Declared))


def test_flag_and_variable_follow_from_the_name() -> None:
    assert (ONE.field, ONE.name, ONE.flag, ONE.variable) == ("one_word", "one_word", "--one-word", "WARMROUTE_ONE_WORD")
    assert (MANY.field, MANY.flag, MANY.variable) == ("many", "--each-key", "WARMROUTE_EACH_KEY")


def test_only_a_secret_may_stand_in_a_file() -> None:
    assert (MANY.file_name, MANY.file_help) == ("each_key_file", "one key a line")
    assert ONE.file_name == ""


def test_a_default_is_written_as_an_operator_would_or_is_none() -> None:
    assert [each.default_text for each in (ONE, MANY, PAIR, UNSET, SIZED)] == ["x", "", "", "", "2 KiB"]


def test_each_instance_has_a_mapping_of_its_own() -> None:
    assert Declared().pairs is not Declared().pairs
    assert PAIR.default == {}


def test_a_secret_is_not_shown() -> None:
    assert (str(Secret("hush")), Secret("hush").value) == ("***", "hush")
    assert "hush" not in repr(Secret("hush"))
    assert Secret("a") == Secret("a") != Secret("b")
