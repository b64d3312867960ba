"""A world remembers what its own policy's choices would have left behind, and reckons the load that they would make."""

import random
from typing import Any

import pytest

import policies
from policies.api import Candidate, Selection, candidate
from router.fleet.workers import Fleet
from router.prefix.residency import Limits
from router.routing.decide import request_facts
from router.shadow.world import MOST_CANDIDATES, ImaginedLoad, Placing, World, offers
from tests.router.fleets import MODEL, make_fleet
from tokenizer_cache.prompt import Prompt

BLOCK = 64


def prompt_of(*blocks: int, exact: bool = True, tokens: int = 0) -> Prompt:
    chain = b"".join(b"%08d" % block for block in blocks)
    return Prompt(
        chain=chain,
        known_blocks=len(blocks),
        tokens=tokens or len(blocks) * BLOCK + 10,
        block_tokens=BLOCK,
        exact=exact,
        source="encoded" if exact else "estimate",
    )


class Site:
    def __init__(self, policy: Any, workers: int = 2) -> None:
        self.fleet: Fleet = make_fleet(workers, MODEL)
        self.workers = self.fleet.groups[MODEL].workers
        self.world = World(policy, Limits(), random.Random(1))
        self.now = 1000.0

    def begin(self, prompt: Prompt) -> Placing:
        prompts = {self.workers[0].format: prompt}
        placing = self.world.begin(offers(self.workers, prompts), prompts, request_facts(prompts, b""), self.now)
        assert placing is not None
        return placing

    def turn(self, prompt: Prompt, computed: Prompt | None = None, completion: int = 0) -> int:
        """Begin and end it. Returns the tokens that would have been cached."""
        placing = self.begin(prompt)
        self.world.end(placing, computed or prompt, completion, self.now)
        return placing.cached_tokens


class Watched:
    """Always the first worker; keeps what it was shown."""

    scope = "few"
    reasons = ("first",)

    def __init__(self) -> None:
        self.seen: list[Candidate] = []

    def costs(self, request: Any, candidates: Any) -> list[float]:
        return [0.0 for _ in candidates]

    def select(self, request: Any, candidates: Any) -> Selection:
        self.seen = list(candidates)
        return Selection(candidates[0], "first", 0.0)


def test_round_robin_finds_what_its_own_turns_left_behind() -> None:
    site = Site(policies.build("round_robin", random.Random(1)))
    first, second = prompt_of(1, 2, 3), prompt_of(1, 2, 3, 4, 5)
    assert [site.turn(first), site.turn(first)] == [0, 0]  # the other worker's turn: nothing there either
    assert site.turn(second) == 3 * BLOCK
    assert site.turn(second) == 3 * BLOCK
    assert site.turn(second) == 5 * BLOCK


def test_an_estimated_prompt_is_remembered_as_what_it_turned_out_to_be() -> None:
    site = Site(Watched())
    estimated, exact = prompt_of(1, 2, 90, exact=False), prompt_of(1, 2, 3)
    site.turn(estimated, computed=exact)
    assert site.turn(prompt_of(1, 2, 3, 4)) == 3 * BLOCK


def test_a_request_that_was_not_answered_leaves_its_load_and_no_memory() -> None:
    site = Site(Watched())
    placing = site.begin(prompt_of(1, 2, exact=False))
    site.world.end(placing, None, 0, site.now)
    assert (placing.load.in_flight, placing.load.held_tokens) == (0, 0)
    assert site.turn(prompt_of(1, 2)) == 0


def test_memory_that_is_full_forgets_what_was_used_longest_ago() -> None:
    site = Site(Watched())
    site.world.residency.set_capacity(site.workers[0].holder, 4)
    for blocks in ((1, 2), (3, 4), (5, 6)):
        site.turn(prompt_of(*blocks))
    assert [site.turn(prompt_of(3, 4, 7)), site.turn(prompt_of(1, 2, 7))] == [2 * BLOCK, 0]


def test_new_tokens_are_computed_one_prompt_after_the_other() -> None:
    policy = Watched()
    site = Site(policy)
    prompt = prompt_of(1, exact=False, tokens=8000)
    for _ in range(2):
        site.begin(prompt)
    site.now += 0.5
    site.begin(prompt)
    chosen, other = policy.seen
    assert (chosen.queued_tokens, chosen.in_flight, chosen.held_tokens) == (12_000, 2, 16_000)
    assert (other.queued_tokens, other.in_flight) == (0, 0)


def test_usage_is_that_of_the_last_scrape() -> None:
    load = ImaginedLoad()
    load.count(1, 100, 10.2)
    assert load.scraped(10) == 0
    assert load.scraped(11) == 100
    load.count(-1, -100, 11.2)
    assert load.scraped(11) == 100
    assert load.scraped(12) == 0


def test_a_restarted_engine_has_nothing_in_any_world() -> None:
    site = Site(Watched())
    placing = site.begin(prompt_of(1, 2, exact=False))
    site.workers[0].holder = "another generation"
    site.world.end(placing, prompt_of(1, 2), 0, site.now)
    assert site.world.residency.holders() == []


def test_a_large_fleet_is_sampled() -> None:
    policy = Watched()
    site = Site(policy, workers=MOST_CANDIDATES + 10)
    site.turn(prompt_of(1))
    assert len({each.worker for each in policy.seen}) == MOST_CANDIDATES


@pytest.mark.parametrize("place", [0, 1])
def test_a_candidate_has_the_fields_of_a_real_one(place: int) -> None:
    policy = Watched()
    site = Site(policy)
    site.turn(prompt_of(1))
    worker = site.workers[place]
    assert policy.seen[place] == candidate(
        worker=worker.id, cached_tokens=0, uncached_tokens=74, queued_tokens=0, in_flight=0, held_tokens=0, waiting=0,
        kv_usage=0.0, kv_capacity_tokens=100_000, prefill_rate=8000.0,
    )  # fmt: skip
