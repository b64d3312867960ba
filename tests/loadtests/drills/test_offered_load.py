"""The load: open loop, of equal seeds equal, and short against a real router."""

import json
from pathlib import Path

import pytest

from loadtests.drills.offered_load import Work, arrivals, offer
from loadtests.drills.overload import PREFILL_RATE, PROFILE, QUEUE, SHARES, keys_file
from loadtests.harness.processes import Engine, Router
from loadtests.ports import ports

WORK = Work(SHARES, warm_s=0.0, window_s=60.0)


def test_arrivals_repeat_and_follow_the_shares() -> None:
    found = list(arrivals(WORK, 20.0, 1))
    assert found == list(arrivals(WORK, 20.0, 1))
    assert found != list(arrivals(WORK, 20.0, 2))
    assert len(found) == pytest.approx(1200, rel=0.1)
    heavy = sum(arrival.client == "heavy" for arrival in found)
    assert heavy / len(found) == pytest.approx(SHARES["heavy"], abs=0.05)
    prompts = [json.loads(arrival.body)["messages"][0]["content"] for arrival in found[:50]]
    assert len(set(prompts)) == 50
    assert len({prompt[:4000] for prompt in prompts}) == 1
    assert sum(map(len, prompts)) / 50 / 4 == pytest.approx(WORK.shared_tokens + WORK.new_tokens, rel=0.15)


async def test_three_times_what_one_engine_can_do(tmp_path: Path) -> None:
    """Goodput stays, the queue is bounded and nothing is lost; the long version is the benchmark."""
    engine_port, router_port = ports(2)
    work = Work(SHARES, new_tokens=4000, answer_tokens=4, warm_s=2.0, window_s=4.0, objective_s=3.0)
    capacity = PREFILL_RATE / work.new_tokens
    flags = ("--tokenizer", "off", "--prefill-rate", str(PREFILL_RATE), "--keys-file", keys_file(tmp_path))
    engine = Engine(engine_port, "--profile", PROFILE, "--block-tokens", "64")
    async with engine, Router(router_port, [engine], *flags, *QUEUE) as router:
        outcome = await offer(router, work, 3 * capacity, 1)
        assert not await router.left_over()
    assert outcome.goodput >= 0.7 * capacity
    assert outcome.refused >= outcome.offered * work.window_s / 3
    assert outcome.lost == 0
    assert outcome.depth <= 200
