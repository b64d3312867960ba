"""The traps that routers have fallen into, one by one, each on the default policy or on all of them."""

import random

import pytest

from policies import POLICIES, build
from policies.expected_ttft import ExpectedTtft
from tests.policies.candidates import a_request, a_worker
from tests.policies.fleet import Fleet, Part, Worker, p99

SEEDS = range(5)
SYSTEM_PROMPT = Part("system", 3_008)


def default_fleet(seed: int, workers: int = 8) -> Fleet:
    return Fleet(ExpectedTtft(random.Random(seed)), workers)


@pytest.mark.parametrize("per_second", [3.0, 6.0, 12.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_one_shared_system_prompt_does_not_collapse_onto_one_worker(seed: int, per_second: float) -> None:
    fleet, arrivals, now_s = default_fleet(seed), random.Random(seed), 0.0
    for number in range(600):
        now_s += arrivals.expovariate(per_second)
        fleet.send(now_s, SYSTEM_PROMPT, Part(f"question {number}", 512))
    largest = max(fleet.shares(since=200).values())
    assert largest < {3.0: 0.6, 6.0: 0.4, 12.0: 0.3}[per_second]
    assert p99([sent.ttft_s for sent in fleet.sent[200:]]) < 0.2  # a worker without the prompt needs 0.44 s


@pytest.mark.parametrize("seed", SEEDS)
def test_a_burst_of_equal_new_prefixes_does_not_land_on_one_worker(seed: int) -> None:
    fleet = default_fleet(seed)
    for _ in range(64):
        fleet.send(0.0, Part("new document", 20_032))
    assert max(fleet.shares().values()) <= 20 / 64


@pytest.mark.parametrize("seed", SEEDS)
def test_affinity_is_kept_under_load(seed: int) -> None:
    """Sessions of 20,000 to 35,000 tokens, so many that every worker always has requests in flight and queues."""
    fleet, rng = default_fleet(seed), random.Random(seed)
    starts = [rng.uniform(0, 60) for _ in range(96)]
    turns = sorted((start + 14 * turn, session, turn) for session, start in enumerate(starts) for turn in range(10))
    homes: dict[int, str] = {}
    stayed = later = 0
    for now_s, session, turn in turns:
        history = [Part(f"s{session} turn {earlier}", 1_536) for earlier in range(turn)]
        sent = fleet.send(now_s, SYSTEM_PROMPT, Part(f"s{session}", 17_024), *history, answer_s=8.0)
        if turn:
            later += 1
            stayed += homes[session] == sent.selection.candidate.worker
        homes[session] = sent.selection.candidate.worker
    assert stayed / later > 0.98
    assert max(fleet.shares().values()) < 0.2


@pytest.mark.parametrize("name", sorted(set(POLICIES) - {"round_robin"}))
def test_no_policy_keeps_a_load_counter_that_could_leak(name: str) -> None:
    candidates = [
        a_worker("a", in_flight=12),
        a_worker("b", in_flight=7),
        a_worker("c", 10_000, 9_984, in_flight=30),
    ]
    policy = build(name, random.Random(0))
    before = policy.costs(a_request(), candidates)
    for _ in range(1000):
        policy.select(a_request(), candidates[:2])
    assert policy.costs(a_request(), candidates) == before


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_removed_worker_does_not_attract(name: str) -> None:
    holder = a_worker("holder", 10_000, 9_984)
    others = [a_worker("a", in_flight=25), a_worker("b", in_flight=40)]
    policy = build(name, random.Random(0))
    for _ in range(50):
        policy.select(a_request(session=b"s"), [holder, *others])
    assert {policy.select(a_request(session=b"s"), others).candidate.worker for _ in range(50)} <= {"a", "b"}


@pytest.mark.parametrize("in_flight", [3, 8, 40])
def test_a_worker_that_answers_fast_500s_does_not_drain_the_sessions_of_others(in_flight: int) -> None:
    """No policy learns from speed: a worker that fails at once looks idle and empty, and no better than that."""
    failing = a_worker("failing", 40_000)
    home = a_worker("home", 40_000, 38_016, in_flight=in_flight, queued_tokens=4_000)
    policy = ExpectedTtft(random.Random(0))
    for candidates in ([failing, home], [home, failing]):
        for _ in range(100):
            assert policy.select(a_request(40_000), candidates).candidate == home


@pytest.mark.parametrize("seed", SEEDS)
def test_a_recovered_worker_gets_its_share_of_a_loaded_fleet(seed: int) -> None:
    """All others hold the system prompt and it holds nothing; the load is 0.85 of what eight workers can prefill."""
    fleet, arrivals, now_s = default_fleet(seed), random.Random(seed), 0.0
    crashed = fleet.workers.pop("w3")
    for number in range(900):
        if number == 300:
            fleet.workers["w3"] = Worker("w3", crashed.prefill_rate, crashed.kv_capacity_tokens)
        now_s += arrivals.expovariate(0.85 * 8 * 8000 / 8_000)
        fleet.send(now_s, SYSTEM_PROMPT, Part(f"task {number}", 8_000))
    assert fleet.shares(since=300)["w3"] > 0.5 / 8


@pytest.mark.parametrize("loads", [(0, 1), (1, 3), (8, 21), (90, 110), (300, 412)])
def test_loads_of_any_size_are_told_apart(loads: tuple[int, int]) -> None:
    light, heavy = (a_worker(name, in_flight=load) for name, load in zip(("light", "heavy"), loads, strict=True))
    for seed in SEEDS:
        for candidates in ([light, heavy], [heavy, light]):
            chosen = ExpectedTtft(random.Random(seed)).select(a_request(1_000), candidates).candidate
            assert chosen.worker == "light"
