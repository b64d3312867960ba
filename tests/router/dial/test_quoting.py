"""An error quotes a value shortly, on one line, and no password."""

import pytest

from router.dial.quoting import MAX_QUOTED, quoted


@pytest.mark.parametrize(("given", "said"), [("a", "'a'"), ("a\nb", "'a\\nb'"), (5, "5"), (None, "None")])
def test_a_value_stands_there_as_python_writes_it(given: object, said: str) -> None:
    assert quoted(given) == said


@pytest.mark.parametrize("given", ["redis://user:secret@host", ["http://a:secret@b"], "secret@" * 100])
def test_what_may_hold_a_password_is_not_quoted(given: object) -> None:
    assert quoted(given) == "a value with an @"


def test_a_long_value_is_cut() -> None:
    said = quoted("x" * 10_000)
    assert len(said) < MAX_QUOTED and said.endswith("...")
    assert quoted("x" * (MAX_QUOTED - 2)) == repr("x" * (MAX_QUOTED - 2))
