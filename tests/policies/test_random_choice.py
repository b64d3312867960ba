"""Random is uniform."""

import random
from collections import Counter

from policies.random_choice import RandomChoice
from tests.policies.candidates import a_request, a_worker


def test_every_worker_is_as_likely_whatever_its_load() -> None:
    policy = RandomChoice(random.Random(2))
    candidates = [a_worker(str(load), cached_tokens=load * 10, in_flight=load) for load in (0, 3, 40, 500)]
    drawn = Counter(policy.select(a_request(), candidates).candidate.in_flight for _ in range(8000))
    assert all(1800 < drawn[load] < 2200 for load in (0, 3, 40, 500))
