"""What was tuned with is not held out, and what is held out is wide enough to say anything."""

from loadtests.engine.profiles import PROFILES
from loadtests.evidence.held_out.cells import HELD_OUT, HELD_OUT_SEEDS, SEEN, TUNING, TUNING_SEEDS
from loadtests.laboratory.simulate.traps import TRAPS


def test_no_fleet_was_tuned_with_under_a_trace_for_which_it_is_held_out() -> None:
    tuned = {(cell.trace, cell.profile, cell.workers) for cell in TUNING}
    assert not tuned & {(cell.trace, cell.profile, cell.workers) for cell in HELD_OUT if not cell.trap}
    traps = {(cell.trace, cell.profile, cell.workers, cell.trap) for cell in TUNING}
    assert not traps & {(cell.trace, cell.profile, cell.workers, cell.trap) for cell in HELD_OUT}
    assert not set(SEEN) & set(HELD_OUT)
    assert not set(TUNING_SEEDS) & set(HELD_OUT_SEEDS)


def test_many_cells_are_held_out_and_each_once() -> None:
    assert len(set(HELD_OUT)) == len(HELD_OUT) >= 30
    assert len({str(cell) for cell in HELD_OUT + TUNING + SEEN}) == len(HELD_OUT + TUNING + SEEN)
    for part, least in (("trace", 6), ("profile", 4), ("workers", 6)):
        assert len({getattr(cell, part) for cell in HELD_OUT}) >= least
    loads = [cell.load for cell in HELD_OUT if not cell.trap]
    assert min(loads) < 0.5 and max(loads) >= 0.9


def test_every_cell_can_be_made() -> None:
    names = {trap.__name__ for trap in TRAPS}
    assert {cell.profile for cell in HELD_OUT + TUNING + SEEN} <= PROFILES.keys()
    assert len({cell.trap for cell in HELD_OUT + TUNING + SEEN if cell.trap}) <= len(names)
