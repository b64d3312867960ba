"""The stretch of a recorded session that a loop plays."""

import dataclasses

import numpy as np
import pytest

from loadtests.laboratory.pressure.traffic import Limits, limited, mean_context
from loadtests.laboratory.traces.script import chains
from tests.loadtests.laboratory.simulate.scripts import script

LIMITS = Limits(10 * 64, 40 * 64, min_turns=2, max_answer_tokens=15, pause_p50_s=None, max_pause_s=2.0)


def test_it_begins_and_ends_where_contexts_are_in_the_range_and_has_the_same_chains() -> None:
    whole = script("a", [5, 9, 12, 20, 39, 41, 30], think_s=1.0)
    (found,) = limited([whole], LIMITS)
    assert [turn.prompt_tokens // 64 for turn in found.turns] == [12, 20, 39]
    assert [turn.think_s for turn in found.turns] == [0.0, 1.0, 1.0]
    expected = list(chains(whole))[2:5]
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(chains(found), expected, strict=True))


def test_answers_and_pauses_are_cut() -> None:
    (found,) = limited([script("a", [12, 20, 30], answer=20, think_s=9.0)], LIMITS)
    assert {turn.answer_tokens for turn in found.turns} == {15}
    assert [turn.think_s for turn in found.turns] == [0.0, 2.0, 2.0]


def test_pauses_are_scaled_to_their_median_before_they_are_cut() -> None:
    scripts = [
        script("a", [12, 20], think_s=2.0),
        script("b", [12, 20], think_s=8.0),
        script("c", [12, 20], think_s=40.0),
    ]
    found = limited(scripts, dataclasses.replace(LIMITS, pause_p50_s=1.0))
    assert [one.turns[1].think_s for one in found] == [0.25, 1.0, 2.0]


def test_too_short_ones_are_left_out_and_none_at_all_is_an_error() -> None:
    scripts = [script("a", [12, 50]), script("b", [5]), script("c", [12, 20])]
    assert [one.name for one in limited(scripts, LIMITS)] == ["c"]
    with pytest.raises(ValueError, match="enough turns"):
        limited(scripts[:2], LIMITS)


def test_the_mean_context_is_over_turns() -> None:
    assert mean_context([script("a", [10, 20]), script("b", [30])]) == 20 * 64 + 32
