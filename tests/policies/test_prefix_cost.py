"""Worked examples of the linear cost."""

import random

from policies.prefix_cost import PrefixCost
from tests.policies.candidates import a_request, a_worker


def test_cost_counts_prefill_and_kv_with_this_request_included() -> None:
    candidates = [
        a_worker("warm", cached_tokens=8_000, queued_tokens=4_000, held_tokens=30_000, in_flight=70),
        a_worker("cold", queued_tokens=0, held_tokens=25_000),
    ]
    assert PrefixCost(random.Random(0)).costs(a_request(), candidates) == [46_000, 45_000]


def test_overlap_wins_until_load_outweighs_it() -> None:
    def choose(held_tokens: int) -> tuple[str, str]:
        candidates = [a_worker("warm", cached_tokens=8_000, held_tokens=held_tokens), a_worker("cold")]
        selection = PrefixCost(random.Random(0)).select(a_request(), candidates)
        assert selection == PrefixCost(random.Random(0)).select(a_request(), candidates[::-1])
        return selection.candidate.worker, selection.reason

    assert choose(7_999) == ("warm", "cached")
    assert choose(8_001) == ("cold", "cold")


def test_equal_costs_are_drawn_from() -> None:
    candidates = [a_worker("warm", cached_tokens=8_000, held_tokens=8_000), a_worker("cold")]
    chosen = {PrefixCost(random.Random(seed)).select(a_request(), candidates).candidate.worker for seed in range(50)}
    assert chosen == {"warm", "cold"}
