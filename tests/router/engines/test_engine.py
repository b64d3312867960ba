"""When two looks at an engine mean that it restarted in between."""

from dataclasses import replace

import pytest

from router.engines import Load, restarted

LOAD = Load(
    running=3,
    waiting=2,
    kv_usage=0.5,
    prefill_seconds_sum=10.0,
    prefill_tokens_sum=5_000,
    prompt_tokens_total=20_000,
    hit_tokens_total=15_000,
    generated_tokens_total=700,
    generation="",
)


def test_growing_and_resting_counters_are_the_same_process() -> None:
    assert not restarted(LOAD, LOAD)
    assert not restarted(LOAD, replace(LOAD, running=0, waiting=0, kv_usage=0.0, prompt_tokens_total=20_001))


@pytest.mark.parametrize(
    "change",
    [
        {"prefill_seconds_sum": 9.9},
        {"prefill_tokens_sum": 0},
        {"prompt_tokens_total": 19_999},
        {"hit_tokens_total": 0},
        {"generated_tokens_total": 1},
    ],
)
def test_a_counter_that_runs_backwards_is_a_restart(change: dict[str, float]) -> None:
    assert restarted(LOAD, replace(LOAD, **change))  # type: ignore[arg-type]


def test_the_generation_outweighs_the_counters() -> None:
    before = replace(LOAD, generation="a")
    assert restarted(before, replace(LOAD, generation="b"))
    assert not restarted(before, replace(LOAD, generation="a", prompt_tokens_total=0))


def test_another_number_of_ranks_does_not_compare() -> None:
    assert not restarted(replace(LOAD, ranks=(LOAD, LOAD)), replace(LOAD, prompt_tokens_total=10_000))


def test_figures_that_are_not_exported_do_not_compare() -> None:
    assert not restarted(LOAD, replace(LOAD, prompt_tokens_total=None, hit_tokens_total=None))
