"""A newcomer is neither flooded nor left alone."""

import random

import pytest

import policies
from router.fleet.lease import Lease
from router.fleet.warmth import COLD, Warmth
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.prefix.residency import Limits
from router.prefix.tree import TreeIndex
from router.routing.decide import Decider
from tests.router.fleets import MODEL, facts, make_fleet
from tests.router.routing.test_decide import prompt

RAMP_S = 10.0
BURST = 60


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_warmth_grows_from_cold_to_one() -> None:
    clock = Clock()
    warmth = Warmth(clock)
    assert warmth.share(clock.now) == 1.0
    warmth.ramp_s = RAMP_S
    warmth.begin()
    shares = [warmth.share(clock.now + step) for step in (0.0, 2.5, 5.0, 10.0, 1000.0)]
    assert shares == pytest.approx([COLD, 0.325, 0.55, 1.0, 1.0])
    warmth.ramp_s = 0.0
    warmth.begin()
    assert warmth.share(clock.now) == 1.0


class Site:
    """Three busy workers and one that has come into service just now, with a clock of ours."""

    def __init__(self, policy: str, ramp_s: float, in_flight: int) -> None:
        self.fleet: Fleet = make_fleet(4, MODEL)
        workers = list(self.fleet.workers.values())
        self.newcomer, self.clock = workers[3], Clock()
        self.leases: list[Lease] = []
        for worker in workers:
            worker.warmth = Warmth(self.clock)
            for _ in range(0 if worker is self.newcomer else in_flight):
                self.leases.append(Lease(worker, 600, 0).__enter__())
        self.newcomer.warmth.ramp_s = ramp_s
        self.fleet.on_unhealthy(self.newcomer.id, "away")
        self.fleet.on_healthy(self.newcomer.id)
        rng = random.Random(1)
        index = TreeIndex(Limits(), lambda: 0.0, lambda error: None)
        self.decider = Decider(policies.build(policy, rng), index, rng)
        self.decider._clock = self.clock
        self.names = iter(range(1000))

    async def burst(self) -> int:
        """How many of new prompts that come at once go to the newcomer."""
        chosen: list[Worker] = []
        for _ in range(BURST):
            prompts = {self.newcomer.format: prompt(10, f"n{next(self.names)}")}
            sight = await self.decider.look(self.fleet.groups[MODEL], prompts)
            worker = self.decider.choose(sight, prompts).worker
            self.leases.append(Lease(worker, 650, 650).__enter__())
            chosen.append(worker)
        return chosen.count(self.newcomer)


@pytest.mark.parametrize("policy", ["expected_ttft", "least_loaded", "power_of_two"])
async def test_a_burst_does_not_pile_up_on_the_newcomer_and_passes_it_by_neither(policy: str) -> None:
    flooded = await Site(policy, 0.0, in_flight=8).burst()
    warmed = await Site(policy, RAMP_S, in_flight=8).burst()
    fair = BURST / 4
    assert 1 <= warmed <= fair / 2
    assert flooded > warmed


async def test_its_share_grows_to_a_fair_one() -> None:
    site = Site("expected_ttft", RAMP_S, in_flight=0)
    shares = []
    for step in (0.0, 5.0, 10.0):
        site.clock.now = 100.0 + step
        while site.leases:
            site.leases.pop().__exit__(None, None, None)
        shares.append(await site.burst())
    assert shares == sorted(shares)
    assert abs(shares[2] - BURST / 4) <= 2


async def test_the_only_worker_gets_everything() -> None:
    site = Site("expected_ttft", RAMP_S, in_flight=0)
    for worker in list(site.fleet.workers.values()):
        if worker is not site.newcomer:
            site.fleet.remove(worker.id)
    assert await site.burst() == BURST


def test_a_worker_that_is_taken_back_from_draining_is_warm() -> None:
    site = Site("expected_ttft", RAMP_S, in_flight=0)
    site.clock.now += RAMP_S
    site.fleet.drain(site.newcomer.id)
    site.fleet.drain(site.newcomer.id, draining=False)
    site.fleet.on_facts(site.newcomer.id, facts(MODEL))
    assert site.newcomer.warmth.share(site.clock.now) == 1.0
