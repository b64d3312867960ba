"""How findings are printed."""

from router.check.finding import Finding, exit_code, lines


def test_the_advice_stands_on_the_line_of_the_fault() -> None:
    found = [Finding("ok", "a", "fine"), Finding("error", "b", "broken", "mend it"), Finding("warning", "c", "slow")]
    assert lines(found) == "ok       a: fine\nerror    b: broken -> mend it\nwarning  c: slow\n"


def test_only_errors_fail() -> None:
    assert exit_code([]) == exit_code([Finding("warning", "a", "slow")]) == 0
    assert exit_code([Finding("ok", "a", "fine"), Finding("error", "b", "broken")]) == 1


def test_what_others_said_breaks_no_line() -> None:
    assert lines([Finding("error", "w", "a\nok       all is well\x1b[2J")]).count("\n") == 1
