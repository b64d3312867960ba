"""The command that measures the page again."""

import re
from pathlib import Path

import pytest

from loadtests.benchmarks.__main__ import main

PAGE = """<!-- benchmark: good -->
```sh
printf '| %s |\\n|---|\\n' new
```
<!-- table: good 1 -->
| old |
<!-- end -->

<!-- benchmark: needy -->
```sh
cat $WARMROUTE_TEST_NO_SUCH_INPUT
```
<!-- table: needy 1 -->
| kept |
<!-- end -->

<!-- benchmark: bad -->
```sh
echo '| half |'; exit 3
```
<!-- benchmark: silent -->
```sh
true
```
<!-- table: silent 1 -->
| kept too |
<!-- end -->
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_what_can_be_measured_is_and_the_rest_says_why_not(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--page", str(page)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "good: measured",
        "needy: left alone, needs WARMROUTE_TEST_NO_SUCH_INPUT",
        "bad: left alone, its command ended with 3",
        "silent: left alone, its command printed 0 tables",
    ]
    text = page.read_text()
    assert "| old |" not in text
    assert "| kept |" in text
    assert "| kept too |" in text
    assert re.search(r"\| new \|\n\|---\|\n\n\*20\d\d-\d\d-\d\d .* UTC, .*Python .*load .*warmroute .*seeds .*\*", text)


def test_a_benchmark_is_chosen_by_name(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["good", "--page", str(page)]) == 0
    assert capsys.readouterr().out == "good: measured\n"
    assert main(["godo", "--page", str(page)]) == 2
    assert "there are good, needy" in capsys.readouterr().err


def test_listing_runs_nothing(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--page", str(page)]) == 0
    assert "bad: can be run" in capsys.readouterr().out
    assert page.read_text() == PAGE
