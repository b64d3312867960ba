"""Which session asks when: sessions that start at random and go on at their recorded pace.

Open between sessions, closed within: a new session starts without regard to how the fleet fares, a session's next turn
comes its recorded think time after its last answer. Traces of single requests, which say when these came, are played
as they were, faster or slower. Traffic is stationary from the start: the sessions that would be under way at time 0
are, somewhere in their middle (nothing of them is cached yet; that is what the warm-up is for).
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from loadtests.laboratory.simulate.sessions import Session
from loadtests.laboratory.traces.script import BLOCK_TOKENS, Script, Turn


class Start(NamedTuple):
    """A session begins (or goes on, where it was under way) at a time."""

    at_s: float
    session: Session


def capped(scripts: Sequence[Script], max_think_s: float, max_tokens: int) -> list[Script]:
    """Scripts with pauses cut to `max_think_s` (longer ones are people who left), and only those in which every prompt
    with its answer has at most `max_tokens`."""
    return [
        Script(
            script.name,
            [turn._replace(think_s=min(turn.think_s, max_think_s)) for turn in script.turns],
            script.shared_blocks,
            script.starts_s,
        )
        for script in scripts
        if script.turns and max(turn.prompt_tokens + turn.answer_tokens for turn in script.turns) <= max_tokens
    ]


@dataclass(frozen=True)
class Mix:
    """Scripts, and what they come to on average."""

    scripts: Sequence[Script]
    window: int = 0
    """Of a trace of single requests: how many are played; only their tokens are the working set. 0: all."""
    once: bool = False
    """Each script is played once, and no turn comes sooner than it did."""
    turns: float = field(init=False)
    """Per session."""
    duration_s: float = field(init=False)
    """Of a session, at its recorded pace."""
    held: float = field(init=False)
    """Token seconds of a session: its context, as long as it is the present one."""
    _durations: list[float] = field(init=False, repr=False)
    """Running sum."""
    _distinct: float = field(init=False, repr=False)
    """Tokens that differ, in windows of a trace of single requests; else 0."""

    def __post_init__(self) -> None:
        count = len(self.scripts)
        if not count:
            raise ValueError("no session of the traces fits")
        cycles = [script.cycles_s() for script in self.scripts]
        object.__setattr__(self, "turns", sum(map(len, cycles)) / count)
        object.__setattr__(self, "duration_s", sum(map(sum, cycles)) / count)
        held = sum(
            turn.prompt_tokens * cycle_s
            for script, own in zip(self.scripts, cycles, strict=True)
            for turn, cycle_s in zip(script.turns, own, strict=True)
        )
        object.__setattr__(self, "held", held / count)
        object.__setattr__(self, "_durations", [*accumulate(map(sum, cycles))])
        object.__setattr__(self, "_distinct", distinct_tokens(self.scripts, self.window) if self.recorded else 0.0)

    @property
    def recorded(self) -> bool:
        """Single requests whose time is known and whose prefixes all share: the trace is played as it was."""
        return not self.once and all(len(script.turns) == 1 and script.starts_s is not None for script in self.scripts)

    def live_sessions(self, requests_per_s: float) -> float:
        """Sessions under way at once, on average (Little's law)."""
        return requests_per_s / self.turns * self.duration_s

    def working_set(self, requests_per_s: float) -> float:
        """Tokens in the contexts of all live sessions, on average, a common system prompt counted once per session. Of
        a trace of single requests: its distinct tokens, whatever the load."""
        if self.recorded:
            return self._distinct
        return requests_per_s / self.turns * self.held

    def largest(self) -> int:
        """Tokens of the longest prompt with its answer."""
        return max(turn.prompt_tokens + turn.answer_tokens for script in self.scripts for turn in script.turns)

    def starts(self, requests_per_s: float, warm_s: float, rng: random.Random) -> Iterator[Start]:
        """Session starts, in order of time, without end (recorded ones: until the trace is over)."""
        if self.once:
            return self._as_recorded()
        if self.recorded:
            return self._replayed(requests_per_s, rng)
        return self._composed(requests_per_s, warm_s, rng)

    def after(self, ended: Session, now_s: float, rng: random.Random) -> Start | None:
        """The session that follows one that ended now: none, because sessions start independently."""
        return None

    def _composed(self, requests_per_s: float, warm_s: float, rng: random.Random) -> Iterator[Start]:
        rate = requests_per_s / self.turns
        early = [self._under_way(warm_s, rng) for _ in range(_poisson(rate * self.duration_s, rng))]
        early.sort(key=lambda start: start.at_s)
        now_s = rng.expovariate(rate)
        while True:
            while early and early[0].at_s <= now_s:
                yield early.pop(0)
            script = self.scripts[int(rng.random() * len(self.scripts))]
            yield Start(now_s, Session.copy(script, rng))
            now_s += rng.expovariate(rate)

    def _under_way(self, warm_s: float, rng: random.Random) -> Start:
        script = rng.choices(self.scripts, cum_weights=self._durations)[0]
        cycles = [*accumulate(script.cycles_s())]
        age_s = rng.random() * cycles[-1]
        turn = next((index for index, end_s in enumerate(cycles) if end_s > age_s), len(cycles) - 1)
        return Start(rng.random() * warm_s, Session.copy(script, rng, turn))

    def _as_recorded(self) -> Iterator[Start]:
        for script in sorted(self.scripts, key=lambda script: script.starts_s or 0.0):
            yield Start(script.starts_s or 0.0, Session(script.name.encode(), script, 0))

    def _replayed(self, requests_per_s: float, rng: random.Random) -> Iterator[Start]:
        scripts = sorted(self.scripts, key=lambda script: script.starts_s or 0.0)
        span_s = (scripts[-1].starts_s or 0.0) - (scripts[0].starts_s or 0.0)
        stretch = sum(len(script.turns) for script in scripts) / max(1e-9, span_s) / requests_per_s
        begin = int(rng.random() * len(scripts))
        origin_s = scripts[begin].starts_s or 0.0
        for script in scripts[begin:] + scripts[:begin]:
            at_s = (script.starts_s or 0.0) - origin_s
            at_s = (at_s if at_s >= 0 else at_s + span_s) * stretch
            yield Start(at_s, Session(script.name.encode(), script, 0))


def distinct_tokens(scripts: Sequence[Script], window: int = 0) -> float:
    """Tokens of all blocks that differ, in this many scripts in a row (0: all), on average over a few places."""
    size = min(window or len(scripts), len(scripts))
    firsts = sorted({(len(scripts) - size) * place // 4 for place in range(5)})
    counts = []
    for first in firsts:
        seen: set[int] = set()
        for script in scripts[first : first + size]:
            for turn in script.turns:
                seen.update(turn.new.tolist())
        counts.append(len(seen) * BLOCK_TOKENS)
    return sum(counts) / len(counts)


def new_tokens(turn: Turn) -> int:
    """Tokens of a prompt that the turn before it did not have."""
    return turn.prompt_tokens - turn.keep * BLOCK_TOKENS


def _poisson(mean: float, rng: random.Random) -> int:
    """A Poisson variate, as arrivals within a unit of time."""
    count, left = 0, mean
    while (left := left - rng.expovariate(1.0)) > 0:
        count += 1
    return count
