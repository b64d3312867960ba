"""The command line."""

import pytest

from loadtests.drills.__main__ import DRILLS, main


def test_an_unknown_drill_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["unheard-of"])
    said = capsys.readouterr().err
    assert all(name in said for name in DRILLS)
