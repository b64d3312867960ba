"""Whether an arm is best: on results that are made up."""

from typing import Any

from loadtests.simulate import verdict
from loadtests.simulate.outcomes import Summary, summary
from loadtests.simulate.sweep import Cell


def run(**figures: Any) -> Summary:
    empty = summary([], 1.0, [1.0], 1.0)
    return Summary(**{field: getattr(empty, field) for field in empty.__slots__} | figures)


def runs(p50: float, p90: float, p99: float, goodput: float) -> list[Summary]:
    """Two seeds, one of them with everything a tenth slower."""
    return [
        run(ttft_p50=p50 * f, ttft_p90=p90 * f, ttft_p99=p99 * f, goodput=goodput, hit=0.9, ideal_hit=0.905)
        for f in (1.0, 1.1)
    ]


def cell(**arms: list[Summary]) -> Cell:
    return Cell("steady", 0.8, 3.0, 0.5, True, arms)


def test_what_is_worse_than_the_margin_is_a_miss_and_says_against_whom() -> None:
    made = cell(ours=runs(1.01, 2.0, 9.5, 0.9), other=runs(1.0, 1.0, 9.0, 0.95), third=runs(3.0, 3.0, 3.0 * 3, 0.8))
    misses = list(verdict.found(made, "ours"))
    assert [(miss.measure, miss.best) for miss in misses] == [("TTFT p90", "other"), ("goodput", "other")]
    assert misses[0].times.mean == 2.0
    assert misses[0].cell == "steady, load 80%"
    assert "2 of 4" in verdict.misses([made], "ours").title


def test_the_oracle_is_no_rival() -> None:
    made = cell(ours=runs(1.0, 1.0, 1.0, 0.9), oracle=runs(0.1, 0.1, 0.1, 1.0))
    assert not list(verdict.found(made, "ours"))


def test_the_ideal_is_compared_where_there_is_a_goal() -> None:
    goal, none = cell(ours=runs(1, 1, 1, 1)), Cell("trap", 0.0, 3.0, 1.0, False, {"ours": runs(1, 1, 1, 1)})
    assert [row[-1] for row in verdict.ideal([goal, none], "ours").rows] == ["met"]
    assert len(verdict.overview([goal, none]).rows) == 2
