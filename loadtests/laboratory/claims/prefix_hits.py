"""12.5 to 97.5 % cache hits and 22.3 % more requests (Ranvier, February 2026), and its audited successor."""

import random
from collections.abc import Sequence
from functools import partial

from loadtests.engine.profiles import PROFILES
from loadtests.laboratory.claims.claim import Arm, Claim, Finding, Runs, change, share, times
from loadtests.laboratory.claims.scripts import prompt
from loadtests.laboratory.simulate.crowd import Crowd
from loadtests.laboratory.simulate.scenario import Scenario, fleet
from loadtests.laboratory.traces.script import Script

WORKERS = 8
MEASURED_S = 300.0
SCRIPTS = 600
SIZES = ((0.1, 100, 500), (0.2, 500, 2000), (0.3, 2000, 4000), (0.4, 4000, 8000))
"""(share, shortest, longest) of the prompts, in tokens: the published mix `stress`."""
LONG_TOKENS = 2000
WITH_PREFIX = 0.9
"""Of the longer prompts, which are then a prefix and what follows it, whatever their drawn length."""
BEHIND_PREFIX = (100, 500)
"""Tokens that follow a prefix, shortest and longest. Not published; much longer ones would make the audited hit rates
impossible for any cache."""
MOST_TOKENS = 8_000
"""Of a prompt: the model takes 8,192 with the answer."""
POLICIES = ("random", "least_loaded", "consistent_hash", "expected_ttft")


def scripts(prefixes: int, shortest: int, longest: int) -> list[Script]:
    """Prompts of the mix `stress` over this many prefixes of these lengths. Answers are of 56 to 100 tokens."""
    rng = random.Random(prefixes)
    lengths = [rng.randint(shortest, longest) for _ in range(prefixes)]
    made = []
    for number in range(SCRIPTS):
        _, low, high = rng.choices(SIZES, [part for part, _, _ in SIZES])[0]
        tokens, answer = rng.randint(low, high), rng.randint(56, 100)
        prefix = rng.randrange(prefixes)
        if low < LONG_TOKENS or rng.random() > WITH_PREFIX:
            made.append(prompt("", 0, f"alone {number}", tokens, answer))
        else:
            whole = min(lengths[prefix] + rng.randint(*BEHIND_PREFIX), MOST_TOKENS)
            made.append(prompt(f"prefix {prefix}", min(lengths[prefix], whole), f"{number}", whole, answer))
    return made


def _scenario(users: int, prefixes: int, lengths: tuple[int, int]) -> Scenario:
    crowd = Crowd(scripts(prefixes, *lengths), users=users, pause_s=(0.5, 2.0))
    workers = fleet(PROFILES["codellama-13b-a100"], WORKERS, crowd, 1.0, None)
    requests = round(MEASURED_S)
    return Scenario("common prefixes", crowd, 1.0, workers, requests=requests, sessions_named=False)


def _arms(users: int, prefixes: int, lengths: tuple[int, int]) -> list[Arm]:
    return [Arm(policy, policy, partial(_scenario, users, prefixes, lengths)) for policy in POLICIES]


def _published(runs: Runs) -> Sequence[Finding]:
    routed = f"{share(runs['random'], 'same_worker')} to {share(runs['consistent_hash'], 'same_worker')}"
    hits = f"{share(runs['random'], 'hit')} to {share(runs['expected_ttft'], 'hit')}"
    least = times(runs, "requests", "expected_ttft", "least_loaded")
    return [
        Finding(
            "cache hit, meaning: where the last one with this prefix went",
            "12.1 to 97.5 %",
            f"{routed} (`consistent_hash`)",
            "says nothing of caches; `expected_ttft` gives "
            f"{share(runs['expected_ttft'], 'same_worker')}: it holds a prefix at several workers",
        ),
        Finding("tokens found in KV memory", "not published", hits, f"an infinite cache: {_ideal(runs)}"),
        Finding(
            "requests/s, over random",
            "+22.3 %",
            change(times(runs, "requests", "expected_ttft", "random")),
            "the model makes random too slow in saturation: not to be compared",
        ),
        Finding("requests/s, over least loaded", "not published", change(least), "the control that was missing"),
        Finding(
            "TTFT p99, over random",
            "-85.3 %",
            change(times(runs, "ttft_p99", "expected_ttft", "random")),
            f"over least loaded {change(times(runs, 'ttft_p99', 'expected_ttft', 'least_loaded'))}",
        ),
    ]


def _fitted(runs: Runs) -> Sequence[Finding]:
    least = times(runs, "ttft_p99", "least_loaded", "random")
    return [
        Finding(
            "tokens found in KV memory, random",
            "11-14 %",
            f"{share(runs['random'], 'hit')}",
            "the engine's own counters",
        ),
        Finding(
            "the same with affinity",
            "69-73 %",
            f"{share(runs['expected_ttft'], 'hit')}",
            f"an infinite cache: {_ideal(runs)}",
        ),
        Finding(
            "requests/s, over random", "+10 %", change(times(runs, "requests", "expected_ttft", "random")), "see above"
        ),
        Finding(
            "TTFT p99, over random",
            "-57.5 %",
            change(times(runs, "ttft_p99", "expected_ttft", "random")),
            f"least loaded alone: published -50 %, here {change(least)}; theirs has a floor of 0.75 s, ours none",
        ),
    ]


def _ideal(runs: Runs) -> str:
    return f"{share(runs['expected_ttft'], 'ideal_hit')}"


CLAIMS = (
    Claim(
        "12.5 to 97.5 % hits, 22.3 % more requests",
        "Ranvier, run of February 2026",
        "CodeLlama-13B on 8 x A100-40GB, 30 users in a closed loop, pauses of 0.5 to 2 s, 30 minutes, prompts of 100 "
        "to 8,000 tokens, nine in ten of the longer ones on one of 5 prefixes of 2,000 to 8,000 tokens. Here 5 "
        "minutes. Not known: what follows a prefix (here 100 to 500 tokens).",
        _arms(30, 5, (2000, 8000)),
        _published,
    ),
    Claim(
        "the same, audited: hits from 11-14 to 69-73 %",
        "Ranvier, run of October 2026",
        "As above with 20 users and 16 prefixes of 2,000 to 4,000 tokens; hits by vLLM's own counters.",
        _arms(20, 16, (2000, 4000)),
        _fitted,
    ),
)
