"""How findings are printed."""

from router.check.finding import Finding, exit_code, lines


def test_the_advice_stands_on_the_line_of_the_fault() -> None:
    found = [Finding("ok", "a", "fine"), Finding("error", "b", "broken", "mend it"), Finding("warning", "c", "slow")]
    assert lines(found) == "ok       a: fine\nerror    b: broken -> mend it\nwarning  c: slow\n"


def test_only_errors_fail() -> None:
    assert exit_code([]) == exit_code([Finding("warning", "a", "slow")]) == 0
    assert exit_code([Finding("ok", "a", "fine"), Finding("error", "b", "broken")]) == 1
