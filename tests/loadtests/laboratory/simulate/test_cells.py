"""Which cells a sweep has, and which arms are left out."""

from pathlib import Path

from loadtests.laboratory.simulate.cells import Cell, hopeless, of_results
from loadtests.laboratory.simulate.kept import Facts, Kept
from tests.loadtests.laboratory.simulate.test_verdict import run, runs


def corner(ratio: float, **ttfts: tuple[float, float]) -> Cell:
    arms = {arm: runs(p50, p90, p90, 0.9) for arm, (p50, p90) in ttfts.items()}
    return Cell(Facts("steady", 0.5, 3.0, ratio), arms)


def test_an_arm_that_is_far_behind_in_both_corners_is_left_out() -> None:
    easy = corner(0.25, expected_ttft=(1.0, 1.0), random=(2.0, 2.0), lmetric=(1.5, 1.0), round_robin=(2.0, 2.0))
    hard = corner(4.0, expected_ttft=(9.0, 9.0), random=(2.0, 2.0), lmetric=(9.0, 9.0), round_robin=(3.0, 3.0))
    assert hopeless([easy, hard]) == {"round_robin"}


def test_the_default_is_run_everywhere_and_a_single_corner_says_nothing() -> None:
    cell = corner(4.0, expected_ttft=(9.0, 9.0), lmetric=(1.0, 1.0), random=(9.0, 9.0))
    assert hopeless([cell, cell]) == {"random"}
    assert hopeless([cell]) == set()


def test_an_oracle_neither_leads_nor_is_left_out() -> None:
    cell = corner(1.0, expected_ttft=(2.0, 2.0), oracle=(1.0, 1.0), lmetric=(2.2, 2.2))
    slow = corner(1.0, expected_ttft=(2.0, 2.0), oracle=(9.0, 9.0), lmetric=(2.2, 2.2))
    assert hopeless([cell, cell]) == hopeless([slow, slow]) == set()


def test_results_in_the_order_of_traces_memory_and_load_with_whole_arms_alone(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "runs.jsonl", {})
    cells = [
        ("b, working set / memory 4", 1.1),
        ("b, working set / memory 0.5", 0.8),
        ("trap", 0.0),
        ("a, working set / memory 0.5", 0.5),
    ]
    for name, load in [*cells, ("b, working set / memory 0.5", 0.5)]:
        for seed in (1, 2):
            kept.run(Facts(name, load, 1.0, 1.0), "ours", seed, run())
        kept.run(Facts(name, load, 1.0, 1.0), "half", 1, run())
    kept.run(Facts("c", 0.0, 1.0, 1.0), "other", 1, run())
    found = list(of_results(kept, 2, "ours"))
    assert [(cell.facts.name[:1], cell.facts.load) for cell in found] == [
        ("b", 0.5),
        ("b", 0.8),
        ("b", 1.1),
        ("t", 0.0),
        ("a", 0.5),
    ]
    assert {tuple(cell.arms) for cell in found} == {("ours",)}
