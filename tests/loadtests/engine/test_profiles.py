"""The calibrated engines reproduce the published measurements that they were made from."""

import pytest

from loadtests.engine.job import Job
from loadtests.engine.profiles import PROFILES
from loadtests.engine.scheduler import Scheduler
from tests.loadtests.engine.test_kv_pool import chain_of


def timed(profile: str, prompt: int, answer: int) -> tuple[float, float]:
    """(seconds to the first token, seconds per further token) of one request on an idle engine."""
    settings = PROFILES[profile]
    scheduler = Scheduler(settings)
    job = Job(chain_of([1] * ((prompt + answer) // settings.block_tokens)), prompt, answer)
    scheduler.submit(job, 0.0)
    made, next_at = scheduler.step(0.0)
    while next_at is not None:
        more, next_at = scheduler.step(next_at)
        made += more
    assert job.first_token is not None
    return job.first_token, (made[-1].at - job.first_token) / max(1, answer - 1)


@pytest.mark.parametrize(
    ("profile", "prompt", "seconds"),
    [
        ("qwen3-32b-2xh100", 8192, 0.40),
        ("codellama-13b-a100", 4000, 0.61),
        ("minimax-m2.5-8xh20", 30_000, 1.7),
        ("kimi-k2.5-gb200", 23_700, 1.0),
    ],
)
def test_first_tokens_take_the_measured_time(profile: str, prompt: int, seconds: float) -> None:
    assert timed(profile, prompt, 1)[0] == pytest.approx(seconds, rel=0.15)


def test_a_single_stream_of_llama_8b_decodes_75_tokens_a_second() -> None:
    assert 1 / timed("llama-3.1-8b-a100", 500, 200)[1] == pytest.approx(75, rel=0.05)


@pytest.mark.parametrize(("profile", "tokens"), [("codellama-13b-a100", 11_648), ("llama-3.1-8b-a100", 142_144)])
def test_capacities_that_were_measured(profile: str, tokens: int) -> None:
    assert PROFILES[profile].blocks * PROFILES[profile].block_tokens == tokens


def test_every_profile_can_hold_one_step_and_knows_its_name() -> None:
    for name, profile in PROFILES.items():
        assert profile.name == name
        assert profile.kv_tokens >= profile.step_tokens >= profile.block_tokens
