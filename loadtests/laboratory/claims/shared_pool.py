"""3.8, 46 and 8.6 times by a KV pool, and near-linear scaling to five prefill instances (vLLM and Mooncake, May 2026).

Prefill and decode are apart there: a worker is one prefill instance, and a token of the answer takes 40 ms elsewhere.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial

from loadtests.engine.profiles import PROFILES, Profile
from loadtests.laboratory.claims.claim import Arm, Claim, Finding, Runs, mean, share, times
from loadtests.laboratory.claims.scripts import Agent, spread, spread_of_mean
from loadtests.laboratory.simulate.crowd import Crowd
from loadtests.laboratory.simulate.scenario import Scenario, fleet

DECODE_S = 0.040
GPUS = 12
"""Of one prefill and one decode instance."""
POOL_TOKENS = 9_000_000
"""Of KV per prefill instance in host memory: 340 GB at 38 KB a token, for instance three hosts' share."""
TIER_RATE = 1_000_000.0
"""Tokens per second from the pool: 40 GB/s at 38 KB a token, rounded."""
CODEX = Agent(
    system_tokens=11_520,
    first_tokens=12_400,
    new_tokens=(2_242, 0.0),
    answer=(225, spread_of_mean(225, 522)),
    turns=(30, spread(30, 57, 1.2816)),
    most_tokens=180_000,
    pause_s=(5.2, spread(5.2, 81.4, 2.3263)),
    decode_elsewhere_s=DECODE_S,
)
ANSWER_P50_S = 225 * DECODE_S
GROWING = Agent(
    system_tokens=20_032,
    first_tokens=30_000,
    new_tokens=(2_948, 0.0),
    answer=(900, 0.0),
    turns=(30, 0.0),
    most_tokens=180_000,
    decode_elsewhere_s=DECODE_S,
)
INSTANCES = (1, 3, 5, 16)
PUBLISHED_INSTANCES = 5
USERS = 75
"""Per prefill instance."""
WAYS: Sequence[tuple[str, str, str]] = (
    ("round robin, pool of all", "round_robin", "shared"),
    ("round robin, no pool", "round_robin", "none"),
    ("expected_ttft, no pool", "expected_ttft", "none"),
    ("round robin, host memory of each", "round_robin", "own"),
    ("consistent_hash, host memory of each", "consistent_hash", "own"),
    ("expected_ttft, host memory of each", "expected_ttft", "own"),
    ("expected_ttft, host memory of each, known", "expected_ttft", "known"),
    ("expected_ttft, KV memory of each for all its sessions", "expected_ttft", "plenty"),
)
"""(name, policy, memory behind the GPU's)."""


def _worker(memory: str, instances: int) -> Profile:
    own = POOL_TOKENS if memory in ("own", "known") else 0
    tokens = POOL_TOKENS * instances if memory == "shared" else own
    profile = dataclasses.replace(PROFILES["kimi-k2.5-gb200"], tier_tokens=tokens, tier_rate=TIER_RATE)
    if memory == "plenty":
        return dataclasses.replace(profile, kv_tokens=POOL_TOKENS + profile.kv_tokens)
    return profile


def _scenario(agent: Agent, users: int, instances: int, memory: str, measured_s: int) -> Scenario:
    crowd = Crowd(agent.sessions(200, 1), users=users)
    workers = fleet(_worker(memory, instances), instances, crowd, 1.0, None)
    return Scenario(
        "prefill apart",
        crowd,
        1.0,
        workers,
        requests=measured_s,
        shared_tier=memory == "shared",
        host_kv_tokens=POOL_TOKENS if memory == "known" else 0,
    )


def _one_instance(runs: Runs) -> Sequence[Finding]:
    def tokens(arm: str) -> float:
        return mean(runs[arm], "input_tokens") / GPUS

    slow, fast = (mean(runs[arm], "ttft_p50") for arm in ("no pool", "pool"))
    whole = (slow + ANSWER_P50_S) / (fast + ANSWER_P50_S)
    ratio = times(runs, "input_tokens", "pool", "no pool")
    return [
        Finding(
            "tokens/s per GPU",
            "2,012 to 7,669: 3.8 x",
            f"{tokens('no pool'):,.0f} to {tokens('pool'):,.0f}: {ratio:.1f} x",
            "the pool's doing: one instance leaves a router no choice",
        ),
        Finding("TTFT p50", "82.9 to 1.8 s: 46 x", f"{slow:.1f} to {fast:.2f} s: {slow / fast:.0f} x", "the same"),
        Finding(
            "end to end p50",
            "93.3 to 10.8 s: 8.6 x",
            f"{slow + ANSWER_P50_S:.1f} to {fast + ANSWER_P50_S:.1f} s: {whole:.1f} x",
            "TTFT and 225 tokens of 40 ms",
        ),
        Finding(
            "hit rate",
            "1.7 to 92.2 %",
            f"{share(runs['no pool'], 'hit')} to {share(runs['pool'], 'hit')}",
            "ours keeps the common system prompt in KV memory, theirs did not",
        ),
    ]


def _scaling(runs: Runs) -> Sequence[Finding]:
    return [_scaled(runs, *way, most) for way in WAYS for most in (PUBLISHED_INSTANCES, INSTANCES[-1])]


def _scaled(runs: Runs, name: str, _: str, memory: str, most: int) -> Finding:
    one, all_ = (mean(runs[_arm(name, count)], "input_tokens") for count in (1, most))
    linear, here = all_ / one / most, runs[_arm(name, most)]
    published = memory == "shared" and most == PUBLISHED_INSTANCES
    return Finding(
        f"{name}: {most} instances",
        "95.6 % of linear, over 95 %" if published else "not published",
        f"{100 * linear:.0f} % of linear, hits {share(here, 'hit')}, {all_:,.0f} tokens/s, "
        f"TTFT p50 {mean(here, 'ttft_p50'):.2f} s",
        "met" if linear >= 0.95 and mean(here, "hit") >= 0.95 else "**falls short**",
    )


def _arm(name: str, instances: int) -> str:
    return f"{instances} x {name}"


CLAIMS = (
    Claim(
        "3.8 x throughput, 46 x TTFT, 8.6 x end to end",
        "vLLM and Mooncake, figure 4",
        "Kimi-K2.5 on 12 GB200, one prefill and one decode instance, 50 coding sessions at a time. Sessions made up "
        "from the published figures (12,400 tokens at first, 2,242 more a turn, 30 turns, 11,500 in common, pauses of "
        "5.2 s). Not known: KV memory (here 500,000 tokens per instance), the pool's size (here it holds all).",
        [
            Arm("no pool", "round_robin", partial(_scenario, CODEX, 50, 1, "none", 600)),
            Arm("pool", "round_robin", partial(_scenario, CODEX, 50, 1, "shared", 600)),
        ],
        _one_instance,
    ),
    Claim(
        "near-linear to 5 prefill instances, hits over 95 %",
        "vLLM and Mooncake, figure 5",
        "75 sessions per instance, 20,000 tokens in common, 10,000 of their own at first, 2,048 and an answer of 900 "
        "more each turn, 30 turns, no pauses. Published with a pool and round robin only. Host memory here: 9 million "
        "tokens per instance, in one pool or each for itself.",
        [
            Arm(_arm(name, count), policy, partial(_scenario, GROWING, USERS * count, count, memory, 150))
            for name, policy, memory in WAYS
            for count in INSTANCES
        ],
        _scaling,
    ),
)
