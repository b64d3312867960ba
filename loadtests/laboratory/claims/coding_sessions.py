"""4.5 times the input throughput, TTFT 47 to 91 % lower (KV-Pool, May 2026): prefix caching on, or more?"""

from collections.abc import Sequence
from functools import partial

from loadtests.engine.profiles import PROFILES
from loadtests.laboratory.claims.claim import Arm, Claim, Finding, Runs, change, share, times
from loadtests.laboratory.claims.scripts import Agent, spread, spread_of_mean
from loadtests.laboratory.simulate.crowd import Crowd
from loadtests.laboratory.simulate.scenario import Scenario, fleet

SESSIONS = 16
WORKERS = 4
MEASURED_S = 600
CLAUDE_CODE = Agent(
    system_tokens=15_104,
    first_tokens=16_000,
    new_tokens=(646, spread_of_mean(646, 1_203)),
    answer=(216, spread_of_mean(216, 439)),
    turns=(45, spread(45, 156, 1.2816)),
    most_tokens=40_000,
)
"""Recorded Claude Code sessions, as far as 40,000 tokens: medians published with kv-cache-tester's traces."""


def _scenario(workers: int, sessions: int, caching: bool) -> Scenario:
    crowd = Crowd(CLAUDE_CODE.sessions(200, 1), users=sessions)
    profiles = fleet(PROFILES["minimax-m2.5-8xh20"], workers, crowd, 1.0, None)
    return Scenario("coding sessions", crowd, 1.0, profiles, requests=MEASURED_S, prefix_caching=caching)


def _arms() -> list[Arm]:
    one = [
        Arm("1 worker, caching off", "round_robin", partial(_scenario, 1, SESSIONS, False)),
        Arm("1 worker, caching on", "round_robin", partial(_scenario, 1, SESSIONS, True)),
    ]
    names = ("round_robin", "least_loaded", "consistent_hash", "expected_ttft")
    off = Arm("4 workers, caching off", "round_robin", partial(_scenario, WORKERS, SESSIONS * WORKERS, False))
    return [
        *one,
        off,
        *(Arm(f"4 workers, {name}", name, partial(_scenario, WORKERS, SESSIONS * WORKERS, True)) for name in names),
    ]


def _findings(runs: Runs) -> Sequence[Finding]:
    return [
        *_against(runs, "1 worker, caching on", "1 worker, caching off", "prefix caching alone, no router"),
        *_against(runs, "4 workers, expected_ttft", "4 workers, caching off", "routed, against caching off"),
        *_against(runs, "4 workers, expected_ttft", "4 workers, round_robin", "routed, against round robin"),
    ]


def _against(runs: Runs, arm: str, other: str, what: str) -> list[Finding]:
    def lower(figure: str) -> str:
        return change(times(runs, figure, arm, other))

    return [
        Finding(
            what,
            "4.5 x input tokens/s, TTFT -47 to -91 %, latency -41 to -70 %, hits 94.9 to 96.2 %",
            f"{times(runs, 'input_tokens', arm, other):.2f} x, TTFT p50 {lower('ttft_p50')}, mean latency "
            f"{lower('e2e_mean')}, hits {share(runs[arm], 'hit')} of {share(runs[arm], 'ideal_hit')}",
            f"the baseline has {share(runs[other], 'hit')} hits",
        )
    ]


CLAIMS = (
    Claim(
        "4.5 x input throughput by a KV pool",
        "KV-Pool, May 2026",
        "16 Claude Code sessions at a time, 600 s, contexts of 30,000 tokens and more, MiniMax-M2.5 on 8 x H20 (one "
        "of four models). Not known: the baseline (caching off is likely), the pauses (here none), which model gave "
        "which number. Beside it 4 workers with 64 sessions, where a router has something to choose.",
        _arms(),
        _findings,
    ),
)
