"""The default's terms one by one, when sessions stay or leave, and a burst of one new prompt."""

import random

import pytest

from policies.api import Candidate, Policy, RequestFacts, Selection
from policies.expected_ttft import MOST_PREFIXES, MOST_WORKERS, ExpectedTtft
from policies.round_robin import RoundRobin
from tests.policies.candidates import a_request, a_worker
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


def cost(prompt_tokens: int = 10_000, cached_tokens: int = 0, **load: float) -> float:
    candidate = a_worker("a", prompt_tokens, cached_tokens, **load)
    return ExpectedTtft(random.Random(0)).costs(a_request(prompt_tokens), [candidate])[0]


def test_each_term_of_the_cost() -> None:
    assert cost() == pytest.approx(1.3125)  # 10,000 x 1.05 / 8,000
    assert cost(cached_tokens=8_000) == pytest.approx(0.2625)
    assert cost(queued_tokens=24_000) == pytest.approx(1.3125 + 3.0)
    assert cost(waiting=9, strangers=5) == pytest.approx(1.3125 + 0.5)  # the other four are queued tokens already
    assert cost(prefill_rate=20_000.0, queued_tokens=24_000) == pytest.approx(0.525 + 1.2)


def test_a_batch_counts_by_how_much_larger_it_is_than_the_smallest() -> None:
    batches = [a_worker("a", in_flight=40), a_worker("b", in_flight=55)]
    assert ExpectedTtft(random.Random(0)).costs(a_request(), batches) == pytest.approx([1.3125, 1.3125 + 0.3])


def warm(cached_tokens: int, **load: float) -> list[Candidate]:
    """One busy worker that holds something of the prompt, and an idle one that holds nothing."""
    return [a_worker("warm", 10_000, cached_tokens, **load), a_worker("cold")]


def test_what_is_shared_is_paid_for_by_all_who_have_a_use_for_it() -> None:
    policy = ExpectedTtft(random.Random(0))
    assert policy.costs(a_request(), warm(9_600, alike=3))[1] == pytest.approx(1.3125)  # not known to be shared
    policy.select(a_request(), warm(9_600, alike=3))
    cold = policy.costs(a_request(), warm(9_600, alike=3))[1]
    assert cold == pytest.approx(1.05 * (400 + 9_600 / 4) / 8_000)
    assert policy.costs(a_request(prefix=b"other"), warm(9_600, alike=3))[1] == pytest.approx(1.3125)


def test_a_conversation_alone_in_flight_shares_nothing() -> None:
    policy = ExpectedTtft(random.Random(0))
    for cached in (3_008, 6_016, 9_600):
        policy.select(a_request(), warm(cached, in_flight=1))
    assert policy.costs(a_request(), warm(9_600))[1] == pytest.approx(1.3125)


def test_what_is_shared_is_the_least_that_is_found_and_follows_a_longer_prompt() -> None:
    policy = ExpectedTtft(random.Random(0))
    for cached in (6_016, 3_008, 9_600):
        policy.select(a_request(), warm(cached, alike=1))
    spared = 1.05 / 2
    assert policy.costs(a_request(), warm(9_600, alike=1))[1] == pytest.approx((10_500 - spared * 3_024) / 8_000)
    for _ in range(500):
        policy.select(a_request(), warm(9_600, alike=1))
    assert policy.costs(a_request(), warm(9_600, alike=1))[1] == pytest.approx((10_500 - spared * 9_600) / 8_000)


def test_nothing_is_shared_that_nobody_holds_any_more() -> None:
    policy = ExpectedTtft(random.Random(0))
    policy.select(a_request(), warm(9_600, alike=3))
    assert policy.costs(a_request(), warm(0, alike=3)) == pytest.approx([1.3125, 1.3125])


def test_few_beginnings_are_remembered() -> None:
    policy = ExpectedTtft(random.Random(0))
    for number in range(MOST_PREFIXES + 1):
        policy.select(a_request(prefix=b"%d" % number), warm(9_600, alike=1))
    first, last = (policy.costs(a_request(prefix=b"%d" % n), warm(9_600, alike=1))[1] for n in (0, MOST_PREFIXES))
    assert last < first == pytest.approx(1.3125)


def test_what_is_computed_delays_those_that_wait() -> None:
    policy = ExpectedTtft(random.Random(0))
    for _ in range(30):
        policy.select(a_request(), [a_worker("a", waiting=2)])
    backlog = min(2 * (1 - 0.98**30), 4 * 2 * (1 - 0.995**30))
    held, cold, idle = policy.costs(a_request(), [a_worker("a", 10_000, 8_000), a_worker("a"), a_worker("b")])
    assert (held, cold) == pytest.approx(((1.05 + backlog**2) * 0.25, (1.05 + backlog**2) * 1.25))
    assert idle == pytest.approx(1.3125), "nobody waits there"
    for _ in range(1_000):
        policy.select(a_request(), [a_worker("a")])
    assert policy.costs(a_request(), [a_worker("a")])[0] == pytest.approx(1.3125), "nobody waits any more"


def test_the_backlog_is_the_fleets_unless_a_worker_has_far_less() -> None:
    policy = ExpectedTtft(random.Random(0))
    fleet = [
        a_worker("a", waiting=7, queued_tokens=800),
        *(a_worker(name, queued_tokens=800) for name in "bc"),
        a_worker("d"),
    ]
    for _ in range(4_000):
        policy.select(a_request(), fleet)
    mean = 10 / 4  # seven wait; something is computed at three
    for cost, backlog in zip(
        policy.costs(a_request(), [a_worker(name) for name in "abde"]), (mean, mean, 0, 0), strict=True
    ):
        assert cost == pytest.approx((1.05 + backlog**2) * 1.25)
    policy.select(a_request(), [a_worker("e", queued_tokens=800)])
    assert policy.costs(a_request(), [a_worker("e")])[0] == pytest.approx((1.05 + (4 / 200) ** 2) * 1.25)


def test_sessions_leave_a_crowded_worker_for_those_that_have_just_come() -> None:
    policy = ExpectedTtft(random.Random(0))
    crowded = a_worker("old", 10_000, 9_600, waiting=40, queued_tokens=30_000)
    for number in range(200):
        policy.select(a_request(prefix=b"%d" % number), [crowded])
    assert policy.select(a_request(), [crowded, a_worker("new")]).candidate.worker == "new"


def test_one_more_copy_of_what_others_use_has_its_price_where_the_pool_is_full() -> None:
    policy = ExpectedTtft(random.Random(0))
    for _ in range(2_000):
        policy.select(a_request(), [a_worker("full"), a_worker("warm", 10_000, 9_600, alike=4, queued_tokens=30_000)])
    reuse = policy.learned.reuse

    def price(worker: str, alike: int) -> float:
        there = [a_worker("warm", 10_000, 9_600, alike=alike), a_worker(worker)]
        return policy.costs(a_request(), there)[1]

    assert price("empty", 4) == pytest.approx(1.05 * (400 + 9_600 / 5) / 8_000)
    for alike in (0, 4, 40):
        copy = 9 * reuse / (1 + alike / 2)
        assert price("full", alike) == pytest.approx((1.05 * 400 + 9_600 * (copy + 1.05 / (1 + alike))) / 8_000)


def test_a_full_pool_is_no_reason_to_leave_a_holder() -> None:
    policy = ExpectedTtft(random.Random(0))
    for _ in range(60):
        policy.select(a_request(), [a_worker("full")])
    chosen = policy.select(a_request(), [a_worker("full", 10_000, 9_000), a_worker("empty")]).candidate
    assert chosen.worker == "full"


def test_equal_state_and_equal_draws_decide_equally() -> None:
    """All state is in `learned`: a policy that takes over another one's goes on as that one would have."""
    first, second = ExpectedTtft(random.Random(1)), ExpectedTtft(random.Random(2))
    for number in range(50):
        first.select(a_request(), warm(9_600, alike=number % 3, waiting=number % 5, queued_tokens=900 * number))
    second.learned = first.learned
    asked = warm(6_016, alike=2, queued_tokens=20_000)
    assert first.costs(a_request(), asked) == second.costs(a_request(), asked)
    assert ExpectedTtft(random.Random(1)).costs(a_request(), asked) != first.costs(a_request(), asked)
    assert set(vars(first)) == {"_rng", "learned"}


def test_looking_at_workers_remembers_nothing_of_them() -> None:
    policy = ExpectedTtft(random.Random(0))
    for number in range(100):
        policy.costs(a_request(), [a_worker(f"w{number}")])
    assert not policy.learned.filled and not policy.learned.queues


def test_workers_of_unknown_size_and_workers_that_are_gone() -> None:
    policy = ExpectedTtft(random.Random(0))
    holder = a_worker("warm", 10_000, 9_600, alike=1)

    def costs() -> list[float]:
        return policy.costs(a_request(), [a_worker("silent", kv_capacity_tokens=0), a_worker("empty"), holder])[:2]

    for _ in range(80):
        policy.select(a_request(), [a_worker("silent", kv_capacity_tokens=0), holder._replace(queued_tokens=90_000)])
    silent, empty = costs()
    assert silent > empty
    for number in range(MOST_WORKERS + 1):
        policy.select(a_request(), [a_worker(f"w{number}")])
    silent, empty = costs()
    assert silent == empty
    assert len(policy.learned.filled) <= MOST_WORKERS >= len(policy.learned.queues)


def test_memory_is_waited_for_in_proportion_to_what_is_missing() -> None:
    assert cost(held_tokens=290_000) == pytest.approx(1.3125)  # just fits
    assert cost(held_tokens=350_000) == pytest.approx(1.3125 + 5.0 * 0.2)
    assert cost(held_tokens=350_000, stay_s=40.0) == pytest.approx(1.3125 + 40.0 * 0.2)
    assert cost(held_tokens=590_000) == pytest.approx(1.3125 + 5.0)
    assert cost(held_tokens=590_000, held_share=0.4) == pytest.approx(1.3125)  # shared blocks, counted once each
    assert cost(held_tokens=590_000, held_share=0.9) == pytest.approx(1.3125 + 5.0 * 241_000 / 300_000)
    assert cost(held_tokens=590_000, kv_capacity_tokens=0) == pytest.approx(1.3125)  # unknown


@pytest.mark.parametrize(
    ("queued_tokens", "worker", "reason"),
    [(0, "home", "cached"), (40_000, "home", "cached"), (98_500, "home", "cached"), (101_000, "other", "spilled")],
)
def test_a_session_stays_unless_its_queue_costs_more_than_recomputing(
    queued_tokens: int, worker: str, reason: str
) -> None:
    home = a_worker("home", 100_000, 95_000, queued_tokens=queued_tokens, in_flight=4)
    selection = select(home, a_worker("other", 100_000, in_flight=4), prompt_tokens=100_000)
    assert (selection.candidate.worker, selection.reason) == (worker, reason)


@pytest.mark.parametrize("prompt_tokens", [20_000, 60_000, 200_000])
def test_a_session_stays_under_ordinary_differences_of_load(prompt_tokens: int) -> None:
    cached = prompt_tokens * 95 // 100
    home = a_worker("home", prompt_tokens, cached, in_flight=30, queued_tokens=6_000, waiting=4, held_tokens=310_000)
    others = [a_worker(f"w{load}", prompt_tokens, in_flight=load, held_tokens=9_000 * load) for load in (6, 14, 22)]
    assert {select(home, *others, prompt_tokens=prompt_tokens, seed=seed).candidate for seed in SEEDS} == {home}


def test_of_equal_expected_times_the_one_that_recomputes_less_wins() -> None:
    waits = a_worker("waits", 50_000, 40_000, queued_tokens=40_000)
    computes = a_worker("computes", 50_000, 0, queued_tokens=0)
    assert {select(waits, computes, prompt_tokens=50_000, seed=seed).candidate for seed in SEEDS} == {waits}


def test_equal_holders_share_by_batch_and_equal_batches_by_lot() -> None:
    holders = [
        a_worker(worker, cached_tokens=9_984, in_flight=load) for worker, load in (("a", 9), ("b", 4), ("c", 17))
    ]
    assert select(*holders).candidate.worker == "b"
    level = [holder._replace(in_flight=6) for holder in holders]
    chosen = {ExpectedTtft(random.Random(seed)).select(a_request(), level).candidate.worker for seed in range(60)}
    assert chosen == {"a", "b", "c"}


def test_a_faster_worker_takes_the_cold_prompt() -> None:
    slow, fast = a_worker("slow"), a_worker("fast", prefill_rate=24_000.0, queued_tokens=11_000, in_flight=5)
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
        assert p99_s <= 1.02 * min(round_robin_p99_s, fixed_p99_s)
        assert twice <= round_robin_twice


def test_a_small_burst_is_computed_at_once_and_not_by_everybody() -> None:
    round_robin_p99_s, round_robin_twice = burst(RoundRobin(random.Random(0)), 8, 0.0)
    assert round_robin_twice == 7 * DOCUMENT.tokens
    for seed in SEEDS:
        p99_s, twice = burst(ExpectedTtft(random.Random(seed)), 8, 0.0)
        assert p99_s <= 1.01 * round_robin_p99_s
        assert twice < round_robin_twice
