"""Markers of the page of benchmarks: read strictly, and only what is between them is replaced."""

import pytest

from loadtests.benchmarks.page import MarkerError, benchmarks, replaced, tables

PAGE = """# Title

<!-- benchmark: one -->
```sh
python -m one --data $DATA/file --seeds 5 \\
    --more ${OTHER}
```

Prose.

<!-- table: one 2 -->
| old |
|---|
<!-- end -->

Goals | met
<!-- table: one 1 --><!-- end -->
"""
PRINTED = "Machine\n\n| a |\n|---|\n| 1 |\n\ntext\n| b |\n|---|\nend"


def test_a_benchmark_is_the_block_behind_its_marker() -> None:
    (one,) = benchmarks(PAGE).values()
    assert one.script == "python -m one --data $DATA/file --seeds 5 \\\n    --more ${OTHER}"
    assert one.needs == ["DATA", "OTHER"]
    assert one.tables == frozenset({1, 2})
    assert one.seeds == "5"


def test_tables_are_the_lines_with_bars() -> None:
    assert tables(PRINTED) == ["| a |\n|---|\n| 1 |", "| b |\n|---|"]


def test_only_what_is_between_the_markers_is_replaced() -> None:
    text = replaced(PAGE, "one", tables(PRINTED), "*now*")
    assert "<!-- table: one 2 -->\n| b |\n|---|\n\n*now*\n<!-- end -->\n\nGoals | met\n" in text
    assert text.endswith("<!-- table: one 1 -->\n| a |\n|---|\n| 1 |\n\n*now*\n<!-- end -->\n")
    assert text.startswith(PAGE[: PAGE.index("\n| old |")])
    assert replaced(text, "one", tables(PRINTED), "*now*") == text
    assert replaced(PAGE, "other", [], "*now*") == PAGE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- end -->", "nothing has begun"),
        ("<!-- table: one 1 -->", "has no end"),
        ("<!-- table: one 1 -->\n<!-- table: one 2 -->\n<!-- end -->", "has no end"),
        ("<!-- table: one 1 -->\n<!-- end -->", "tables of no benchmark: one"),
        (PAGE + "<!-- table: one 1 --><!-- end -->", "two tables one 1"),
        (PAGE + PAGE, "two tables"),
        ("<!-- benchmark: one -->\nprose\n```sh\nls\n```\n", "no ```sh block"),
        ("<!-- benchmark: one -->\n```sh\nls\n```\n" * 2, "is there twice"),
    ],
)
def test_markers_that_contradict_each_other_are_refused(text: str, message: str) -> None:
    with pytest.raises(MarkerError, match=message):
        benchmarks(text)
