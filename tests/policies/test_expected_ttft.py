"""The default's terms one by one, what must hold of it whatever the numbers, and a burst of one new prompt."""

import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.api import Candidate, Policy, RequestFacts, Selection
from policies.expected_ttft import ExpectedTtft, price_of_work
from policies.round_robin import RoundRobin
from tests.policies.candidates import a_request, a_worker, situations
from tests.policies.fleet import Fleet, Part, p99

SEEDS = range(20)
DOCUMENT = Part("new document", 20_032)  # 313 blocks of 64; all but the last can be reused


class OneFixedWorker:
    """The opponent that never recomputes: every request to the first worker."""

    scope = "all"

    def costs(self, request: RequestFacts, candidates: list[Candidate]) -> list[float]:
        return [float(number) for number in range(len(candidates))]

    def select(self, request: RequestFacts, candidates: list[Candidate]) -> Selection:
        return Selection(candidates[0], "fixed", 0.0)


def select(*candidates: Candidate, prompt_tokens: int = 10_000, seed: int = 0) -> Selection:
    """The selection, the same in both orders."""
    there = ExpectedTtft(random.Random(seed)).select(a_request(prompt_tokens), candidates)
    assert there == ExpectedTtft(random.Random(seed)).select(a_request(prompt_tokens), candidates[::-1])
    return there


def costs(*candidates: Candidate, prompt_tokens: int = 10_000) -> list[float]:
    return ExpectedTtft(random.Random(0)).costs(a_request(prompt_tokens), candidates)


def cost(prompt_tokens: int = 10_000, cached_tokens: int = 0, **load: float) -> float:
    return costs(a_worker("a", prompt_tokens, cached_tokens, **load), prompt_tokens=prompt_tokens)[0]


def test_each_term_of_the_cost() -> None:
    assert cost() == pytest.approx(1.25)  # 10,000 / 8,000
    assert cost(cached_tokens=8_000) == pytest.approx(0.25)
    assert cost(queued_tokens=24_000) == pytest.approx(3.0 + 1.25 * 2), "a busy worker, and one that is thought of"
    assert cost(waiting=9, strangers=5) == pytest.approx(1.25 + 0.5)  # the other four are queued tokens already
    assert cost(prefill_rate=20_000.0, queued_tokens=24_000) == pytest.approx(1.2 + 0.5 * 2)
    assert cost(warmth=0.25) == pytest.approx(5.0)


def test_a_batch_counts_by_how_much_larger_it_is_than_the_smallest() -> None:
    assert costs(a_worker("a", in_flight=40), a_worker("b", in_flight=55)) == pytest.approx([1.25, 1.25 + 0.3])


def test_memory_is_waited_for_in_proportion_to_what_is_missing() -> None:
    assert cost(held_tokens=290_000) == pytest.approx(1.25)  # just fits
    assert cost(held_tokens=350_000) == pytest.approx(1.25 + 5.0 * 0.2)
    assert cost(held_tokens=350_000, stay_s=40.0) == pytest.approx(1.25 + 40.0 * 0.2)
    assert cost(held_tokens=590_000, unique_share=0.4) == pytest.approx(1.25)  # shared blocks, counted once each
    assert cost(held_tokens=590_000, unique_share=0.9) == pytest.approx(1.25 + 5.0 * 241_000 / 300_000)
    assert cost(held_tokens=590_000, kv_capacity_tokens=0) == pytest.approx(1.25)  # unknown


MORE = ("queued_tokens", "strangers", "held_tokens", "stay_s")


@settings(max_examples=60)
@given(situations(), st.sampled_from(MORE), st.integers(1, 500_000))
def test_more_to_wait_for_never_makes_a_worker_cheaper(
    situation: tuple[RequestFacts, list[Candidate]], name: str, more: int
) -> None:
    request, (worker, *others) = situation
    worse = worker._replace(**{name: getattr(worker, name) + more})
    policy = ExpectedTtft(random.Random(0))
    assert policy.costs(request, [worse, *others])[0] >= policy.costs(request, [worker, *others])[0]
    if worker.queued_tokens or name != "queued_tokens":  # else one more is busy, and computing anywhere is dearer
        assert policy.costs(request, [worse, *others])[1:] == policy.costs(request, [worker, *others])[1:]


@settings(max_examples=60)
@given(situations(), st.integers(1, 20_000))
def test_what_is_cached_saves_its_prefill_and_the_more_the_busier_the_fleet_is(
    situation: tuple[RequestFacts, list[Candidate]], tokens: int
) -> None:
    request, (worker, *others) = situation
    tokens = min(tokens, worker.uncached_tokens)
    warmer = worker._replace(
        cached_tokens=worker.cached_tokens + tokens, uncached_tokens=worker.uncached_tokens - tokens
    )
    policy = ExpectedTtft(random.Random(0))

    def saved(others: list[Candidate]) -> float:
        return policy.costs(request, [worker, *others])[0] - policy.costs(request, [warmer, *others])[0]

    busier = [*others, a_worker("busy", queued_tokens=1, in_flight=1_000)]
    assert tokens / worker.prefill_rate <= saved(others) * (1 + 1e-6) + 1e-6
    assert saved(others) <= saved(busier) * (1 + 1e-6) + 1e-6


@settings(max_examples=60)
@given(situations(), st.sampled_from([0.25, 2.0, 16.0]))
def test_a_fleet_that_is_so_many_times_as_fast_decides_the_same_on_so_many_times_the_tokens(
    situation: tuple[RequestFacts, list[Candidate]], times: float
) -> None:
    request, candidates = situation
    tokens = ("cached_tokens", "uncached_tokens", "queued_tokens", "held_tokens", "kv_capacity_tokens", "prefill_rate")
    scaled = [c._replace(**{name: getattr(c, name) * times for name in tokens}) for c in candidates]
    larger = request._replace(prompt_tokens=request.prompt_tokens * times)  # type: ignore[arg-type]
    policy = ExpectedTtft(random.Random(0))
    assert policy.costs(larger, scaled) == pytest.approx(policy.costs(request, candidates))


@settings(max_examples=40)
@given(st.lists(situations(), min_size=1, max_size=5), situations())
def test_it_remembers_nothing(
    earlier: list[tuple[RequestFacts, list[Candidate]]], asked: tuple[RequestFacts, list[Candidate]]
) -> None:
    policy = ExpectedTtft(random.Random(0))
    for request, candidates in earlier:
        policy.select(request, candidates)
    assert policy.costs(*asked) == ExpectedTtft(random.Random(1)).costs(*asked)
    assert set(vars(policy)) == {"_rng"}


def test_the_price_of_work_is_that_of_the_fleets_load() -> None:
    busy, idle = a_worker("busy", queued_tokens=1), a_worker("idle", in_flight=30, waiting=3)
    assert price_of_work([idle] * 8) == 1
    assert price_of_work([busy] + [idle] * 7) == pytest.approx(9 / 8)
    assert price_of_work([busy] * 4 + [idle] * 4) == pytest.approx(9 / 5)
    assert price_of_work([busy] * 8) == 9, "finite"
    crowded = busy._replace(queued_tokens=900_000, waiting=200)
    assert price_of_work([crowded, *[idle] * 7]) == price_of_work([busy, *[idle] * 7]), "a worker counts once"


@pytest.mark.parametrize(
    ("queued_tokens", "worker", "reason"),
    [(0, "home", "cached"), (40_000, "home", "cached"), (141_000, "home", "cached"), (144_000, "other", "spilled")],
)
def test_a_holder_keeps_its_session_until_computing_it_elsewhere_is_cheaper(
    queued_tokens: int, worker: str, reason: str
) -> None:
    """100,000 tokens elsewhere; here what waits, and 5,000 new ones. Computing costs half more: one of two is busy."""
    home = a_worker("home", 100_000, 95_000, queued_tokens=queued_tokens, in_flight=4)
    selection = select(home, a_worker("other", 100_000, in_flight=4), prompt_tokens=100_000)
    assert (selection.candidate.worker, selection.reason) == (worker, reason)


def test_a_busy_fleet_computes_least() -> None:
    holder, idle = a_worker("holder", 10_000, 6_000, queued_tokens=9_500), a_worker("idle")
    assert select(holder, idle).candidate is idle
    busy = [a_worker(f"busy {number}", queued_tokens=30_000) for number in range(6)]
    assert select(holder, idle, *busy).candidate is holder


def test_sessions_leave_a_crowded_worker_for_those_that_have_just_come() -> None:
    crowded = a_worker("old", 10_000, 9_600, waiting=40, queued_tokens=30_000)
    assert select(crowded, a_worker("new")).candidate.worker == "new"


def test_a_full_pool_is_no_reason_to_leave_a_holder() -> None:
    full = a_worker("full", 10_000, 9_000, kv_usage=0.97, held_tokens=285_000)
    assert select(full, a_worker("empty")).candidate is full


@pytest.mark.parametrize("prompt_tokens", [20_000, 60_000, 200_000])
def test_a_session_stays_under_ordinary_differences_of_load(prompt_tokens: int) -> None:
    cached = prompt_tokens * 95 // 100
    home = a_worker("home", prompt_tokens, cached, in_flight=30, queued_tokens=6_000)
    others = [a_worker(f"w{load}", prompt_tokens, in_flight=load, held_tokens=4_000 * load) for load in (6, 14, 22)]
    assert {select(home, *others, prompt_tokens=prompt_tokens, seed=seed).candidate for seed in SEEDS} == {home}


def test_equal_holders_share_by_batch_and_equal_batches_by_lot() -> None:
    holders = [
        a_worker(worker, cached_tokens=9_984, in_flight=load) for worker, load in (("a", 9), ("b", 4), ("c", 17))
    ]
    assert select(*holders).candidate.worker == "b"
    level = [holder._replace(in_flight=6) for holder in holders]
    chosen = {ExpectedTtft(random.Random(seed)).select(a_request(), level).candidate.worker for seed in range(60)}
    assert chosen == {"a", "b", "c"}


def test_a_faster_worker_takes_the_cold_prompt() -> None:
    slow, fast = a_worker("slow"), a_worker("fast", prefill_rate=24_000.0, queued_tokens=5_000, in_flight=5)
    assert (select(slow, fast).candidate, select(slow, fast).reason) == (fast, "cold")


def test_a_route_without_a_prompt_goes_by_load() -> None:
    candidates = [a_worker(worker, 0, in_flight=load) for worker, load in (("a", 31), ("b", 12), ("c", 5))]
    assert (select(*candidates, prompt_tokens=0).candidate, select(*candidates, prompt_tokens=0).reason) == (
        candidates[2],
        "no_prompt",
    )


def burst(policy: Policy, requests: int, gap_s: float) -> tuple[float, int]:
    """p99 TTFT in seconds of equal new prompts on eight idle workers, and the tokens prefilled more than once."""
    fleet = Fleet(policy, workers=8)
    for number in range(requests):
        fleet.send(number * gap_s, DOCUMENT)
    prefilled = sum(sent.uncached_tokens for sent in fleet.sent)
    return p99([sent.ttft_s for sent in fleet.sent]), prefilled - DOCUMENT.tokens


@pytest.mark.parametrize(("requests", "gap_s"), [(16, 0.0), (64, 0.0), (64, 0.01), (64, 0.2), (200, 0.0), (200, 0.01)])
def test_a_burst_of_one_new_prompt_is_no_slower_than_the_better_simple_rule(requests: int, gap_s: float) -> None:
    round_robin_p99_s, round_robin_twice = burst(RoundRobin(random.Random(0)), requests, gap_s)
    fixed_p99_s, fixed_twice = burst(OneFixedWorker(), requests, gap_s)  # type: ignore[arg-type]
    assert fixed_twice == 64 * (requests - 1)  # the model: each later equal prompt recomputes its last block
    for seed in SEEDS:
        p99_s, twice = burst(ExpectedTtft(random.Random(seed)), requests, gap_s)
        assert p99_s <= 1.05 * min(round_robin_p99_s, fixed_p99_s)
        assert twice <= round_robin_twice


def test_a_small_burst_is_computed_at_once_and_not_by_everybody() -> None:
    round_robin_p99_s, round_robin_twice = burst(RoundRobin(random.Random(0)), 8, 0.0)
    assert round_robin_twice == 7 * DOCUMENT.tokens
    for seed in SEEDS:
        p99_s, twice = burst(ExpectedTtft(random.Random(seed)), 8, 0.0)
        assert p99_s <= 1.03 * round_robin_p99_s
        assert twice < round_robin_twice


def test_the_page_that_derives_the_rule_has_its_numbers() -> None:
    page = (Path(__file__).parents[2] / "docs/policies.md").read_text()
    rows = re.findall(r"(?m)^\| ([\d,]+ \| [\d,]+(?: \| [\d.]+){4}) \|$", page)
    shown = [[float(cell) for cell in row.replace(",", "").split(" | ")] for row in rows]
    there = [a_worker(str(n), 60_000, int(row[0]), queued_tokens=int(row[1])) for n, row in enumerate(shown)]
    own = [worker.uncached_tokens / 8_000 for worker in there]
    ahead = [worker.queued_tokens / 8_000 for worker in there]
    expected = zip(ahead, own, [1.5 * own_s for own_s in own], costs(*there, prompt_tokens=60_000), strict=True)
    assert [row[2:] for row in shown] == [pytest.approx(row, abs=0.0051) for row in expected]
    assert len(shown) == 4
