"""llm-d's ladder on eight workers (September 2025): 150 groups of prompts, more and more requests per second."""

import dataclasses
from collections.abc import Sequence
from functools import partial

from loadtests.engine.profiles import PROFILES
from loadtests.laboratory.claims.claim import Arm, Claim, Finding, Runs, mean
from loadtests.laboratory.claims.scripts import prompt
from loadtests.laboratory.simulate.scenario import Scenario, fleet
from loadtests.laboratory.simulate.traffic import Mix
from loadtests.laboratory.traces.script import Script

WORKERS = 8
KV_TOKENS = 307_328
"""Of each worker, as published."""
GROUPS, PROMPTS = 150, 5
PREFIX_TOKENS, QUESTION_TOKENS, ANSWER_TOKENS = 6_016, 1_200, 1_000
RATES = (4, 8, 10, 12)
"""Requests per second."""
MEASURED_S = 240
POLICIES = ("expected_ttft", "prefix_threshold", "least_loaded", "random")
PUBLISHED = {
    "expected_ttft": "8,730 tokens/s, 0.54 s (exact prefixes)",
    "prefix_threshold": "6,944 tokens/s, 31.1 s (approximate prefixes, another rule)",
    "least_loaded": "4,429 tokens/s, 94.9 s",
    "random": "4,429 tokens/s, 92.6 s",
}
GOOD_TTFT_S = 1.0


def scripts() -> list[Script]:
    """The 750 prompts, which come again and again as they are."""
    made = [
        prompt(f"group {group}", PREFIX_TOKENS, f"{group} {number}", PREFIX_TOKENS + QUESTION_TOKENS, ANSWER_TOKENS)
        for group in range(GROUPS)
        for number in range(PROMPTS)
    ]
    return [dataclasses.replace(one, shared_blocks=one.turns[0].blocks) for one in made]


def _scenario(rate: float) -> Scenario:
    mix = Mix(scripts())
    profile = dataclasses.replace(PROFILES["qwen3-32b-2xh100"], kv_tokens=KV_TOKENS)
    return Scenario("ladder", mix, rate, fleet(profile, WORKERS, mix, rate, None), requests=round(rate * MEASURED_S))


def _findings(runs: Runs) -> Sequence[Finding]:
    found = []
    for policy in POLICIES:
        steps = {rate: runs[_arm(policy, rate)] for rate in RATES}
        good = [rate for rate, made in steps.items() if mean(made, "ttft_p90") <= GOOD_TTFT_S]
        top = steps[RATES[-1]]
        found.append(
            Finding(
                f"{policy}: output, TTFT p90",
                PUBLISHED[policy],
                f"at {RATES[-1]}/s {mean(top, 'output_tokens'):,.0f} tokens/s, {mean(top, 'ttft_p90'):.2f} s",
                f"TTFT p90 within {GOOD_TTFT_S:g} s up to {max(good)}/s" if good else "never within 1 s",
            )
        )
    return found


def _arm(policy: str, rate: int) -> str:
    return f"{policy}, {rate}/s"


CLAIMS = (
    Claim(
        "llm-d's ladder on 8 workers",
        "llm-d, precise prefix cache routing, September 2025",
        "Qwen3-32B on 2 x H100 each, 307,328 KV tokens a worker; 150 groups of 5 prompts, 6,000 tokens in common and "
        "1,200 of their own, answers of 1,000 tokens, 3 to 60 requests/s. Published figures are of the whole ladder, "
        "whose steps' lengths are not known; here every rate is a run of its own.",
        [Arm(_arm(policy, rate), policy, partial(_scenario, float(rate))) for policy in POLICIES for rate in RATES],
        _findings,
    ),
)
