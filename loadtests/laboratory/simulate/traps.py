"""The traps into which routers have fallen, as scenarios: each breaks some rule that looks well on steady traffic."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from loadtests.engine.profiles import Profile
from loadtests.laboratory.simulate.hosts import Change, Condition
from loadtests.laboratory.simulate.pace import Pace
from loadtests.laboratory.simulate.scenario import Scenario, fleet
from loadtests.laboratory.simulate.sessions import Session
from loadtests.laboratory.simulate.traffic import Mix, Start
from loadtests.laboratory.traces.script import BLOCK_TOKENS, Script, Turn, linked, numbers

SYSTEM_TOKENS = 16_000
TENANT_TOKENS = 40_000
DOCUMENT_TOKENS = 30_000
BURST = 48
"""Requests of the burst, within a second."""
SLOW = 3.0
"""How many times slower the slow worker is."""
LOAD = 1.2
"""Of the rate that keeps the workers half busy."""


def _one_turn(name: str, shared_tokens: int, own_tokens: int, answer: int = 150) -> Script:
    """Single requests with a common beginning."""
    shared, own = shared_tokens // BLOCK_TOKENS, own_tokens // BLOCK_TOKENS
    words = np.concatenate((numbers(range(shared), f"trap {name}"), numbers(range(own), f"trap {name} own")))
    tokens = (shared + own) * BLOCK_TOKENS + 20
    return Script(name, [Turn(0, linked(words, 0), tokens, answer, 0.0, 0.0)], shared)


def _scenario(name: str, scripts: Sequence[Script], profile: Profile, workers: int, requests: int) -> Scenario:
    pace = Pace(Mix(scripts), profile)
    rate = LOAD * pace.first_guess(workers)
    mix = pace.paced(workers, rate)
    return Scenario(name, mix, rate, fleet(profile, workers, mix, rate, 0.5), requests=requests)


def shared_system_prompt(scripts: Sequence[Script], profile: Profile, workers: int, requests: int) -> Scenario:
    """Every request begins with one long system prompt and ends alone."""
    return _scenario("one system prompt", [_one_turn("system", SYSTEM_TOKENS, 500)], profile, workers, requests)


def burst(scripts: Sequence[Script], profile: Profile, workers: int, requests: int) -> Scenario:
    """In the midst of steady sessions, many requests on one new document. Only these are measured."""
    steady = _scenario("burst of one new prefix", scripts, profile, workers, requests)
    document = _one_turn("document", DOCUMENT_TOKENS, 300)
    half = steady.measured_s / 2
    starts = [Start(half + n / BURST, Session(b"burst %d" % n, document, 2 * n + 1)) for n in range(BURST)]
    return dataclasses.replace(steady, extra=starts, extra_only=True)


def hot_tenant(scripts: Sequence[Script], profile: Profile, workers: int, requests: int) -> Scenario:
    """Half of all requests are one tenant's, with 40,000 tokens in common; the rest are steady sessions."""
    steady = list(scripts[:40])
    tenants = [_one_turn("tenant", TENANT_TOKENS, 500)] * sum(len(script.turns) for script in steady)
    return _scenario("hot tenant", steady + tenants, profile, workers, requests)


def slow_worker(scripts: Sequence[Script], profile: Profile, workers: int, requests: int) -> Scenario:
    """One worker is three times as slow as the others in everything."""
    steady = _scenario("one slow worker", scripts, profile, workers, requests)
    slow = dataclasses.replace(
        steady.profiles[0],
        prefill_rate=profile.prefill_rate / SLOW,
        pair_s=profile.pair_s * SLOW,
        decode_s=profile.decode_s * SLOW,
        kv_token_s=profile.kv_token_s * SLOW,
    )
    return dataclasses.replace(steady, profiles=[slow, *steady.profiles[1:]])


def fast_500s(scripts: Sequence[Script], profile: Profile, workers: int, requests: int) -> Scenario:
    """One worker answers 500 at once for the middle third of the time."""
    steady = _scenario("fast 500s", scripts, profile, workers, requests)
    third = steady.measured_s / 3
    return dataclasses.replace(
        steady, changes=(Change(third, 0, Condition.FAILS), Change(2 * third, 0, Condition.WELL))
    )


def lost_and_back(scripts: Sequence[Script], profile: Profile, workers: int, requests: int) -> Scenario:
    """One worker dies with all that it holds, and comes back empty."""
    steady = _scenario("worker lost and back", scripts, profile, workers, requests)
    third = steady.measured_s / 3
    return dataclasses.replace(
        steady, changes=(Change(third, 0, Condition.AWAY), Change(1.5 * third, 0, Condition.WELL))
    )


def fleet_grows(scripts: Sequence[Script], profile: Profile, workers: int, requests: int) -> Scenario:
    """A quarter of the workers serve all sessions, until the others come, empty, after a third of the time."""
    steady = _scenario("fleet grows", scripts, profile, workers, requests)
    late = range(max(1, workers // 4), workers)
    third = steady.measured_s / 3
    changes = [Change(0.0, worker, Condition.AWAY) for worker in late]
    return dataclasses.replace(steady, changes=(*changes, *(Change(third, worker, Condition.WELL) for worker in late)))


TRAPS: Sequence[Callable[[Sequence[Script], Profile, int, int], Scenario]] = (
    shared_system_prompt,
    burst,
    hot_tenant,
    slow_worker,
    fast_500s,
    lost_and_back,
    fleet_grows,
)
"""Each from the steady sessions' scripts, a profile, the number of workers and of measured requests."""
