"""Two distinct workers are compared, and each pair is as likely."""

import random
from collections import Counter

from policies.power_of_two import PowerOfTwo
from tests.policies.candidates import a_request, a_worker


def test_two_workers_are_always_compared() -> None:
    for low, high in ((3, 9), (0, 1), (40, 41), (120, 500)):
        pair = [a_worker("low", in_flight=low), a_worker("high", in_flight=high)]
        for ordered in (pair, pair[::-1]):
            chosen = {PowerOfTwo(random.Random(seed)).select(a_request(), ordered).candidate for seed in range(50)}
            assert chosen == {pair[0]}


def test_each_pair_is_as_likely_and_its_less_loaded_worker_wins() -> None:
    policy = PowerOfTwo(random.Random(3))
    candidates = [a_worker(str(load), in_flight=load) for load in (2, 11, 25, 60)]
    drawn = Counter(policy.select(a_request(), candidates).cost for _ in range(6000))
    # of six equally likely pairs, the least loaded is in three, the next leads two, then one; the last never wins
    assert drawn[60] == 0
    assert 2850 < drawn[2] < 3150
    assert 1850 < drawn[11] < 2150
    assert 850 < drawn[25] < 1150


def test_equal_loads_are_drawn_evenly() -> None:
    policy = PowerOfTwo(random.Random(3))
    candidates = [a_worker(worker, in_flight=6) for worker in "abc"]
    drawn = Counter(policy.select(a_request(), candidates).candidate.worker for _ in range(6000))
    assert all(1850 < count < 2150 for count in drawn.values())


def test_it_stays_close_to_even_where_random_does_not() -> None:
    policy, rng = PowerOfTwo(random.Random(1)), random.Random(1)
    two, one = Counter[str](), Counter[str]()
    names = [f"w{number}" for number in range(20)]
    for _ in range(2000):
        two[policy.select(a_request(), [a_worker(name, in_flight=two[name]) for name in names]).candidate.worker] += 1
        one[rng.choice(names)] += 1
    assert max(two.values()) <= 104
    assert max(one.values()) > 110
