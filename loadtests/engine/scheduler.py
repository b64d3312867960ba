"""Continuous batching over a KV pool: which sequence computes how many tokens in the next step, and when it is done.

Follows vLLM's v1 scheduler: running sequences first, then admission in order of arrival while memory lasts; long
prefills in chunks; when memory runs out the last running sequence is preempted and recomputed later. Pure: the caller
hands in the time and asks again at the time it is told. What must not be broken: a block can be matched from the step
on that computes it (in that step too, by a job scheduled after it: its attention runs after the block is written) but
is written to a second tier only when that step has ended; and a job that has ended, however it ended, holds no block.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from loadtests.engine.job import Job
from loadtests.engine.kv_events import KvEvents
from loadtests.engine.kv_pool import KvLease, KvPool
from loadtests.engine.profiles import Profile
from loadtests.engine.tier import SecondTier, Tier


class Progress(NamedTuple):
    """A job has `tokens` more tokens of its answer at time `at`. The job itself may be further on by now."""

    job: Job
    tokens: int
    at: float
    first: bool
    last: bool


@dataclass(slots=True)
class _Step:
    """One step, or several equal ones in a row, each `growth_s` longer than the one before."""

    start: float
    work: list[tuple[Job, int]]
    first_s: float
    growth_s: float
    repeat: int = 1

    @property
    def end(self) -> float:
        return self._end_of(self.repeat)

    def _end_of(self, steps: int) -> float:
        return self.start + steps * self.first_s + self.growth_s * steps * (steps - 1) / 2

    def stop_after(self, now: float) -> None:
        """Shorten to the steps that have begun by `now`, because a job waits for the next boundary."""
        if self.repeat == 1 or self.end <= now:
            return
        low, high = 1, self.repeat
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._end_of(middle) >= now else (middle + 1, high)
        self.repeat = low


class Scheduler:
    """One engine's scheduler. Times are seconds on the caller's clock and never go back."""

    def __init__(self, profile: Profile, shared: SecondTier | None = None, events: KvEvents | None = None) -> None:
        """`shared` is a second tier that other engines use too; without, the profile may give it one of its own."""
        self.profile = profile
        self.pool = KvPool(profile.blocks, None if events is None else events.removed)
        self._events = events
        self.tier: SecondTier | None = tier_of(profile) if shared is None else shared
        self.waiting: deque[Job] = deque()
        self.running: list[Job] = []
        self.preemptions = 0
        self.queried_tokens = 0
        self.hit_tokens = 0
        self.busy_s = 0.0
        """Time spent in steps that have ended."""
        self._step: _Step | None = None
        self._reading_s = 0.0
        """What the step that is being put together reads from the second tier."""

    def submit(self, job: Job, now: float) -> None:
        """Queue the job; ask `step` again: the next time may be earlier now. ValueError if it can never fit."""
        if math.ceil((job.prompt_tokens + job.answer_tokens) / self.profile.block_tokens) > self.pool.blocks:
            raise ValueError("prompt and answer are larger than the KV pool")
        job.arrived = now
        self.waiting.append(job)
        if self._step is not None:
            self._step.stop_after(now)

    def abort(self, job: Job, now: float) -> bool:
        """Drop the job and free its blocks at once; what it has computed stays cached. False if it had ended."""
        if job in self.running:
            self.running.remove(job)
            self._release(job)
        elif job in self.waiting:
            self.waiting.remove(job)
        else:
            return False
        if self._step is not None:
            self._step.stop_after(now)
        return True

    def clear(self) -> bool:
        """Forget all that is cached. False, and no change, while jobs hold blocks."""
        if self.pool.free < self.pool.blocks:
            return False
        evicted = self.pool.evicted
        self.pool = KvPool(self.profile.blocks, None if self._events is None else self._events.removed)
        self.pool.evicted = evicted
        if self._events is not None:
            self._events.cleared()
        return True

    def step(self, now: float) -> tuple[list[Progress], float | None]:
        """End the steps that end by `now` and begin the next one. Returns what was made, in order of time, and the
        time to ask again (None: nothing to do until `submit`)."""
        made: list[Progress] = []
        while True:
            start = now
            if self._step is not None:
                if self._step.end > now:
                    return made, self._step.end
                start = self._step.end
                self._finish(self._step, made)
            self._step = self._begin(start)
            if self._step is None:
                return made, None

    def _begin(self, start: float) -> _Step | None:
        if not self.running:
            if not self.waiting:
                return None
            start = max(start, self.waiting[0].arrived)
        work, preempted = self._schedule_running()
        if not preempted:
            budget = self.profile.step_tokens - sum(tokens for _, tokens in work)
            self._admit(work, budget, start)
        return self._timed(start, work)

    def _schedule_running(self) -> tuple[list[tuple[Job, int]], bool]:
        budget = self.profile.step_tokens
        work: list[tuple[Job, int]] = []
        preempted = False
        index = 0
        while index < len(self.running) and budget:
            job = self.running[index]
            tokens = min(job.tokens - job.computed, budget)
            while not self._reserve(job, job.computed + tokens):
                preempted = True
                if self._preempt_last() is job:
                    return work, True
            self._publish(job, job.computed + tokens)
            work.append((job, tokens))
            budget -= tokens
            index += 1
        return work, preempted

    def _admit(self, work: list[tuple[Job, int]], budget: int, start: float) -> None:
        while self.waiting and budget and len(self.running) < self.profile.max_running:
            job = self.waiting[0]
            if job.arrived > start:
                return
            block_tokens = self.profile.block_tokens
            # The last token is always computed (it makes the next one), and with it its whole block.
            limit = (job.tokens - 1) // block_tokens if job.use_cache and self.profile.caches else 0
            lease = self.pool.admit(job.chain, limit, math.ceil(job.tokens / block_tokens))
            if lease is None:
                return
            self.waiting.popleft()
            self.running.append(job)
            hits = lease.hashed * block_tokens
            job.lease, job.computed = lease, hits + self._load(job, lease, limit)
            job.stored = lease.hashed
            if job.admitted is None:
                job.admitted, job.cached_tokens, job.loaded_tokens = start, job.computed, job.computed - hits
                self.queried_tokens += job.prompt_tokens if job.use_cache else 0
                self.hit_tokens += hits
            tokens = min(job.tokens - job.computed, budget)
            self._reserve(job, job.computed + tokens)
            self._publish(job, job.computed + tokens)
            work.append((job, tokens))
            budget -= tokens

    def _load(self, job: Job, lease: KvLease, limit: int) -> int:
        """Read from the second tier what it has behind the pool's hits. Returns tokens."""
        tier, start = self.tier, lease.hashed
        blocks = tier.match(job.chain, start, limit) if tier is not None else 0
        if tier is None or not blocks:
            return 0
        self.pool.grow(lease, blocks)  # there is room: the job was admitted with all its blocks
        hashes = job.chain[start : start + blocks]
        self.pool.publish(lease, hashes)
        self._reading_s += tier.read(hashes)
        return blocks * self.profile.block_tokens

    def _reserve(self, job: Job, tokens: int) -> bool:
        assert job.lease is not None
        missing = math.ceil(tokens / self.profile.block_tokens) - job.lease.blocks
        return missing <= 0 or self.pool.grow(job.lease, missing)

    def _preempt_last(self) -> Job:
        victim = self.running.pop()
        self._release(victim)
        victim.computed = 0
        victim.preempted += 1
        self.preemptions += 1
        self.waiting.appendleft(victim)
        return victim

    def _release(self, job: Job) -> None:
        assert job.lease is not None
        self.pool.release(job.lease)
        job.lease = None

    def _timed(self, start: float, work: list[tuple[Job, int]]) -> _Step | None:
        if not work:
            return None
        profile = self.profile
        prefill = pairs = decoding = kv_tokens = 0
        for job, tokens in work:
            if tokens == 1 and job.made:
                decoding += 1
                kv_tokens += job.computed
            else:
                prefill += tokens
                pairs += tokens * job.computed + tokens * tokens // 2
        seconds = profile.step_s + prefill / profile.prefill_rate + pairs * profile.pair_s + self._reading_s
        self._reading_s = 0.0
        if decoding:
            seconds += profile.decode_s + kv_tokens * profile.kv_token_s
        step = _Step(start, work, seconds, decoding * profile.kv_token_s)
        if not prefill:
            step.repeat = self._repeatable(start, work)
        return step

    def _repeatable(self, start: float, work: list[tuple[Job, int]]) -> int:
        """Steps that change nothing but the time: every request decodes, none ends, is watched or lacks memory."""
        if len(work) < len(self.running) or any(job.each_token for job, _ in work):
            return 1
        if self.waiting and self.waiting[0].arrived > start:
            return 1
        steps = min(self.profile.block_tokens, *(job.answer_tokens - job.made for job, _ in work))
        missing = [math.ceil((job.computed + steps) / self.profile.block_tokens) for job, _ in work]
        held = [job.lease.blocks for job, _ in work if job.lease is not None]
        if sum(missing) - sum(held) > self.pool.free:
            return 1
        for job, _ in work:
            self._reserve(job, job.computed + steps)
        return steps

    def _finish(self, step: _Step, made: list[Progress]) -> None:
        end = step.end
        self.busy_s += end - step.start
        for job, tokens in step.work:
            if job.lease is None:
                continue  # aborted meanwhile
            job.computed += tokens * step.repeat if job.made else tokens
            self._publish(job, job.computed)
            self._store(job)
            if job.computed < job.tokens:
                continue
            new = step.repeat
            first = job.made == 0
            job.made += new
            if first:
                job.first_token = end
            made.append(Progress(job, new, end, first, job.done))
            if job.done:
                self.running.remove(job)
                self._release(job)
        if self._events is not None:
            self._events.step_ended()

    def _publish(self, job: Job, tokens: int) -> None:
        """The job's first `tokens` tokens are computed, or scheduled to be: their full blocks can be matched."""
        assert job.lease is not None
        full = min(tokens // self.profile.block_tokens, len(job.chain))
        if full > job.lease.hashed:
            if self._events is not None:
                self._events.stored(job, job.lease.hashed, full)
            self.pool.publish(job.lease, job.chain[job.lease.hashed : full])

    def _store(self, job: Job) -> None:
        """Write through what is computed."""
        assert job.lease is not None
        if self.tier is not None and job.lease.hashed > job.stored:
            self.tier.write(job.chain[job.stored : job.lease.hashed])
            job.stored = job.lease.hashed


def tier_of(profile: Profile) -> Tier | None:
    """The second tier that a profile describes."""
    if not profile.tier_tokens:
        return None
    blocks = profile.tier_tokens // profile.block_tokens
    return Tier(blocks, profile.block_tokens, profile.tier_rate, profile.tier_start_s)
