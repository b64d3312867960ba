"""Facts of vLLM's scheduler that the emulator keeps, under a virtual clock."""

import dataclasses
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.engine.job import Job
from loadtests.engine.profiles import Profile
from loadtests.engine.scheduler import Progress, Scheduler
from tests.loadtests.engine.test_kv_pool import chain_of

PROFILE = Profile("t", 1000.0, 0.01, 0.0, 640, 640, step_s=0.001, block_tokens=16, step_tokens=64, max_running=4)


def job(prompt: int, answer: int = 1, path: int = 0, each_token: bool = False) -> Job:
    """A prompt whose blocks are those of every other prompt on the same path, as far as both go."""
    return Job(chain_of([path] * ((prompt + answer) // 16)), prompt, answer, each_token)


def run(scheduler: Scheduler, now: float = 0.0, until: float = math.inf) -> list[Progress]:
    """Step until nothing is left, or until the time."""
    made, next_at = scheduler.step(now)
    while next_at is not None and next_at <= until:
        more, next_at = scheduler.step(next_at)
        made += more
    return made


def test_a_step_takes_the_profile_s_time() -> None:
    scheduler = Scheduler(PROFILE)
    alone = job(40, answer=3, each_token=True)
    scheduler.submit(alone, 5.0)
    times = [progress.at for progress in run(scheduler, 5.0)]
    assert times == pytest.approx([5.041, 5.052, 5.063])  # 1 ms + 40 tokens, then twice 1 ms + 10 ms


def test_attention_over_long_contexts_costs_more_than_linearly() -> None:
    profile = dataclasses.replace(PROFILE, pair_s=1e-6)
    scheduler = Scheduler(profile)
    scheduler.submit(job(96), 0.0)
    pairs = 64 * 64 // 2 + 32 * 64 + 32 * 32 // 2
    assert run(scheduler)[-1].at == pytest.approx(0.096 + 2 * 0.001 + pairs * 1e-6)


def test_a_long_prefill_is_cut_into_chunks_and_others_decode_between() -> None:
    scheduler = Scheduler(PROFILE)
    short, long = job(16, answer=10, path=1, each_token=True), job(200, path=2)
    scheduler.submit(short, 0.0)
    scheduler.step(0.0)
    scheduler.submit(long, 0.001)
    made = run(scheduler, 0.017)
    first_of_long = next(progress.at for progress in made if progress.job is long)
    between = [progress for progress in made if progress.job is short and progress.at < first_of_long]
    assert len(between) >= 3  # 200 tokens need at least four steps of 64


def test_blocks_can_be_hit_only_after_their_step() -> None:
    scheduler = Scheduler(PROFILE)
    scheduler.submit(job(48), 0.0)
    _, end = scheduler.step(0.0)
    assert end is not None
    during, after = job(48), job(48)
    scheduler.submit(during, end / 2)
    scheduler.step(end)  # admits `during`: the first prompt's blocks are there now
    assert during.cached_tokens == 32
    scheduler.submit(after, end)
    run(scheduler, end)
    assert after.cached_tokens == 32


def test_of_equal_prompts_in_one_step_the_second_finds_the_first_ones_blocks() -> None:
    scheduler = Scheduler(PROFILE)
    first, second = job(32), job(32)
    scheduler.submit(first, 0.0)
    scheduler.submit(second, 0.0)
    run(scheduler)
    assert (first.cached_tokens, second.cached_tokens) == (0, 16)  # but never the last block


@pytest.mark.parametrize(("prompt", "cached"), [(47, 32), (48, 32), (49, 48), (15, 0), (16, 0), (17, 16)])
def test_a_hit_is_whole_blocks_and_leaves_a_token_to_compute(prompt: int, cached: int) -> None:
    scheduler = Scheduler(PROFILE)
    scheduler.submit(job(320), 0.0)
    run(scheduler)
    again = job(prompt)
    scheduler.submit(again, 1.0)
    run(scheduler, 1.0)
    assert again.cached_tokens == cached
    assert (scheduler.queried_tokens, scheduler.hit_tokens) == (320 + prompt, cached)


def test_generated_tokens_are_cached_but_the_last_one() -> None:
    scheduler = Scheduler(PROFILE)
    scheduler.submit(job(16, answer=17), 0.0)
    run(scheduler)
    longer = job(40)
    scheduler.submit(longer, 1.0)
    run(scheduler, 1.0)
    assert longer.cached_tokens == 32  # 16 of the prompt, 16 of the 17 generated


def test_a_job_that_skips_the_lookup_hits_nothing_and_is_not_counted() -> None:
    scheduler = Scheduler(PROFILE)
    scheduler.submit(job(64), 0.0)
    run(scheduler)
    skips = dataclasses.replace(job(64), use_cache=False)
    scheduler.submit(skips, 1.0)
    run(scheduler, 1.0)
    assert skips.cached_tokens == 0
    assert scheduler.queried_tokens == 64


def test_admission_is_in_order_and_waits_for_memory() -> None:
    scheduler = Scheduler(PROFILE)
    first, second, third = job(400, answer=50, path=1), job(400, path=2), job(16, path=3)
    for each in (first, second, third):
        scheduler.submit(each, 0.0)
    made = run(scheduler)
    assert [progress.job for progress in made if progress.job.done][-1] is third
    assert second.admitted is not None
    assert third.admitted is not None
    assert first.first_token is not None
    assert second.admitted > first.first_token  # 25 + 25 blocks do not fit into 40, and `third` may not overtake
    assert third.admitted >= second.admitted


def test_the_batch_is_bounded() -> None:
    scheduler = Scheduler(PROFILE)
    for path in range(6):
        scheduler.submit(job(4, answer=3, path=path), 0.0)
    scheduler.step(0.0)
    assert (len(scheduler.running), len(scheduler.waiting)) == (4, 2)


def test_without_memory_to_decode_the_last_one_is_preempted_and_recomputed() -> None:
    scheduler = Scheduler(dataclasses.replace(PROFILE, kv_tokens=128))
    first, second = job(60, answer=40, path=1), job(60, answer=40, path=2)
    scheduler.submit(first, 0.0)
    scheduler.submit(second, 0.0)
    made = run(scheduler)
    assert scheduler.preemptions == 1
    assert (first.preempted, second.preempted) == (0, 1)
    assert sum(progress.tokens for progress in made if progress.job is second) == 40
    assert second.cached_tokens == 0  # what it found when it came back is not the request's hit
    assert scheduler.pool.free == scheduler.pool.blocks


def test_an_aborted_job_frees_its_blocks_at_once_and_its_prefix_stays() -> None:
    scheduler = Scheduler(PROFILE)
    victim = job(300, answer=5)
    scheduler.submit(victim, 0.0)
    run(scheduler, until=0.14)
    assert scheduler.pool.free < scheduler.pool.blocks
    assert scheduler.abort(victim, 0.15)
    assert scheduler.pool.free == scheduler.pool.blocks
    assert not scheduler.abort(victim, 0.15)
    assert run(scheduler, 0.15) == []
    again = job(300)
    scheduler.submit(again, 1.0)
    run(scheduler, 1.0)
    assert again.cached_tokens == 192  # two chunks that were done, and the one that the step is at


def test_a_waiting_job_can_be_aborted() -> None:
    scheduler = Scheduler(PROFILE)
    blocker, waiting = job(600, answer=20, path=1), job(600, path=2)
    scheduler.submit(blocker, 0.0)
    scheduler.submit(waiting, 0.0)
    scheduler.step(0.0)
    assert scheduler.abort(waiting, 0.001)
    assert len(run(scheduler, 0.002)) >= 1
    assert waiting.admitted is None


def test_what_never_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="larger than the KV pool"):
        Scheduler(PROFILE).submit(job(640, answer=1), 0.0)


def test_nothing_to_do_is_no_time() -> None:
    assert Scheduler(PROFILE).step(3.0) == ([], None)


def test_quiet_decoding_takes_few_steps_and_the_same_time() -> None:
    """Skipping steps in which nothing changes must not change when anything happens."""
    profile = dataclasses.replace(PROFILE, kv_token_s=1e-5)
    ends = []
    for each_token in (True, False):
        scheduler = Scheduler(profile)
        scheduler.submit(job(30, answer=100, each_token=each_token), 0.0)
        made = run(scheduler)
        assert sum(progress.tokens for progress in made) == 100
        ends.append((made[-1].at, len(made)))
    assert ends[0][0] == pytest.approx(ends[1][0])
    assert (ends[0][1], ends[1][1] < 12) == (100, True)


def test_who_comes_during_skipped_steps_is_admitted_at_the_next_boundary() -> None:
    scheduler = Scheduler(PROFILE)
    scheduler.submit(job(16, answer=100, path=1), 0.0)
    _, first = scheduler.step(0.0)
    assert first is not None
    _, leap = scheduler.step(first)
    assert leap is not None
    assert leap - first > 0.1
    late = job(16, path=2)
    arrived = first + 0.025  # in the third of the skipped steps of 11 ms
    scheduler.submit(late, arrived)
    _, boundary = scheduler.step(arrived)
    assert boundary is not None
    assert boundary == pytest.approx(first + 0.033)
    run(scheduler, boundary)
    assert late.admitted == pytest.approx(boundary)


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[float, Job, float | None]]:
    """(arrival, job, abort after) in order of arrival."""
    story, now = [], 0.0
    for _ in range(draw(st.integers(1, 12))):
        now += draw(st.sampled_from((0.0, 0.004, 0.05)))
        prompt, answer = draw(st.integers(1, 300)), draw(st.integers(1, 60))
        made = job(prompt, answer, draw(st.integers(0, 2)), draw(st.booleans()))
        story.append((now, made, draw(st.sampled_from((None, None, 0.0, 0.03, 0.3)))))
    return story


@pytest.mark.slow
@given(stories())
@settings(max_examples=150, deadline=None)
def test_whatever_happens_all_ends_and_nothing_is_held(story: list[tuple[float, Job, float | None]]) -> None:
    scheduler = Scheduler(dataclasses.replace(PROFILE, kv_tokens=480))
    made: list[Progress] = []
    happenings = [(at, "submit", each) for at, each, _ in story]
    happenings += [(at + after, "abort", each) for at, each, after in story if after is not None]
    for at, what, each in sorted(happenings, key=lambda happening: (happening[0], happening[1] == "abort")):
        made += run_to(scheduler, at)
        if what == "submit":
            scheduler.submit(each, at)
        else:
            scheduler.abort(each, at)
    made += run(scheduler, max(at for at, _, _ in happenings))
    assert [progress.at for progress in made] == sorted(progress.at for progress in made)
    for _, each, after in story:
        tokens = sum(progress.tokens for progress in made if progress.job is each)
        assert tokens == each.made <= each.answer_tokens
        assert after is not None or each.done
    assert scheduler.pool.free == scheduler.pool.blocks
    assert (scheduler.running, list(scheduler.waiting)) == ([], [])


def run_to(scheduler: Scheduler, now: float) -> list[Progress]:
    return scheduler.step(now)[0]


def test_throughput_does_not_depend_on_how_often_it_is_asked() -> None:
    """Driven late and irregularly, as on a busy machine, the engine is as fast as when driven on time."""
    ends = []
    for late in (0.0, 0.004):
        rng = random.Random(1)
        scheduler = Scheduler(PROFILE)
        scheduler.submit(job(100, answer=50, each_token=True), 0.0)
        made, next_at = scheduler.step(0.0)
        while next_at is not None:
            more, next_at = scheduler.step(next_at + rng.random() * late)
            made += more
        ends.append(made[-1].at)
    assert ends[0] == pytest.approx(ends[1])
