"""Whether an arm is best: on results that are made up."""

from typing import Any

from loadtests.laboratory.simulate import verdict
from loadtests.laboratory.simulate.cells import Cell
from loadtests.laboratory.simulate.kept import Facts
from loadtests.laboratory.simulate.outcomes import Summary, summary


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
    return Cell(Facts("steady", 0.8, 3.0, 0.5), arms)


def test_what_is_worse_than_the_margin_says_against_whom() -> None:
    made = cell(ours=runs(1.01, 2.0, 9.5, 0.9), other=runs(1.0, 1.0, 9.0, 0.95), third=runs(3.0, 3.0, 3.0 * 3, 0.8))
    missed = [against for against in verdict.beside_best(made, "ours") if not against.equal]
    assert [(against.measure.name, against.best) for against in missed] == [("TTFT p90", "other"), ("goodput", "other")]
    assert missed[0].times.mean == 2.0
    (row,) = verdict.against_best([made], "ours").rows
    assert row[0] == "steady, load 80%"
    assert ["times other" in column for column in row[4:]] == [False, True, False, True]
    assert "2 of 4 checks, 2 with an interval above 1" in verdict.against_best([made], "ours").title
    doubtful = [run(ttft_p50=p50, ttft_p90=1.0, ttft_p99=1.0, goodput=1.0) for p50 in (1.0, 2.0)]
    level = [run(ttft_p50=1.2, ttft_p90=1.0, ttft_p99=1.0, goodput=1.0)] * 2
    assert "1 of 4 checks, 0 with" in verdict.against_best([cell(ours=doubtful, other=level)], "ours").title


def test_the_oracle_is_no_rival() -> None:
    made = cell(ours=runs(1.0, 1.0, 1.0, 0.9), oracle=runs(0.1, 0.1, 0.1, 1.0))
    assert all(against.equal for against in verdict.beside_best(made, "ours"))


def test_arms_are_ordered_by_how_often_they_are_best_where_they_were_run() -> None:
    both = cell(slow=runs(2.0, 2.0, 2.0, 0.5), quick=runs(1.0, 1.0, 1.0, 0.9), oracle=runs(0.1, 0.1, 0.1, 1.0))
    one = cell(quick=runs(1.0, 1.0, 1.0, 0.9))
    assert [row[:3] for row in verdict.arms([both, one]).rows] == [("quick", "2", "2, 1.00"), ("slow", "1", "0, 2.00")]


def test_the_ideal_is_compared_where_there_is_a_goal() -> None:
    goal, none = cell(ours=runs(1, 1, 1, 1)), Cell(Facts("trap", 0.0, 3.0, 1.0), {"ours": runs(1, 1, 1, 1)})
    assert [row[-1] for row in verdict.ideal([goal, none], "ours").rows] == ["met"]
    assert len(verdict.overview([goal, none]).rows) == 2
