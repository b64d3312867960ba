"""Error replies, as servers word them."""

import pytest

from router.shared.failure import FailureKind, failure_of


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", FailureKind.FULL),
        ("ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed", FailureKind.FULL),
        ("READONLY You can't write against a read only replica.", FailureKind.MOVED),
        ("MOVED 3999 127.0.0.1:6381", FailureKind.MOVED),
        ("LOADING Redis is loading the dataset in memory", FailureKind.BUSY),
        ("BUSY Redis is busy running a script.", FailureKind.BUSY),
        ("NOPERM this user has no permissions", FailureKind.DENIED),
        ("WRONGPASS invalid username-password pair", FailureKind.DENIED),
        ("WRONGTYPE Operation against a key", FailureKind.INVALID),
        ("", FailureKind.ERROR),
    ],
)
def test_kinds(message: str, kind: FailureKind) -> None:
    assert failure_of(message).kind is kind


def test_what_a_server_says_breaks_no_line_of_the_log() -> None:
    said = failure_of("NOAUTH a\n2030-01-01 INFO forged \x1b[2J" + "c" * 1_000_000)
    assert said.kind is FailureKind.DENIED
    assert said.detail.isprintable()
    assert len(said.detail) < 300
