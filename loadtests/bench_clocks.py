"""One engine model under two clocks: the same sessions to emulated engines over HTTP in real time, and virtually.

    python -m loadtests.bench_clocks --engines 2 --sessions 24

No router: each session keeps to one engine. Sessions are closed loops, so both sides go their own way after the first
request; what may differ is noise, and the HTTP side runs twice to say how much that is. HTTP, JSON, the client and
timers of whole milliseconds come on top of the model's times, in real time only.
"""

import argparse
import asyncio
import dataclasses
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from loadtests.endurance.processes import MODEL, Engine, ports
from loadtests.endurance.report import Table, Ticks, number
from loadtests.engine.chains import ChainHasher
from loadtests.engine.profiles import PROFILES, Profile
from loadtests.engine.scheduler import Job, Progress
from loadtests.replay.client import Client, Question
from loadtests.simulate.engine import VirtualEngine
from loadtests.simulate.timeline import Timeline

PROFILE = dataclasses.replace(PROFILES["qwen3-32b-2xh100"], kv_tokens=96_000)
"""So little memory that a dozen sessions evict each other."""
ANSWER_BASE = 1 << 20
"""Ids from here on are answers, which no prompt repeats."""


class Turn(NamedTuple):
    """One request of a session."""

    tokens: int
    """Of the session's ids, so many are the prompt."""
    answer: int
    pause_s: float
    """After the last answer; of the first turn: after the start."""


class Session(NamedTuple):
    name: str
    engine: int
    ids: list[int]
    turns: Sequence[Turn]


class Seen(NamedTuple):
    """What became of one request."""

    key: tuple[str, int]
    prompt: int
    cached: int
    ttft_s: float
    whole_s: float


def made_up(count: int, engines: int, turns: int, rng: random.Random) -> list[Session]:
    """Agent-like sessions: 4,000 to 12,000 tokens at first, 200 to 1,500 more each turn; 2,000 in common."""
    system = [rng.randrange(ANSWER_BASE) for _ in range(2_000)]
    sessions = []
    for number_ in range(count):
        tokens, made = rng.randint(4_000, 12_000), list[Turn]()
        for turn in range(turns):
            made.append(Turn(tokens, rng.randint(20, 120), rng.uniform(0, 8 if not turn else 3)))
            tokens += rng.randint(200, 1_500)
        own = [rng.randrange(ANSWER_BASE) for _ in range(tokens - len(system))]
        sessions.append(Session(f"s{number_}", number_ % engines, system + own, made))
    return sessions


def virtual(sessions: Sequence[Session], engines: int, profile: Profile) -> list[Seen]:
    """Under the virtual clock."""
    timeline, seen, told = Timeline(), list[Seen](), dict[Job, Callable[[], None]]()

    def tell(progress: Progress) -> None:
        if progress.last:
            told.pop(progress.job)()

    fleet = [VirtualEngine(timeline, profile, tell) for _ in range(engines)]
    hasher = ChainHasher(profile.block_tokens)

    def ask(session: Session, index: int) -> None:
        turn, at_s = session.turns[index], timeline.now
        first_id = ANSWER_BASE + 1_000 * (index + len(session.turns) * int(session.name[1:]))
        answer = range(first_id, first_id + turn.answer)
        ids = np.array([*session.ids[: turn.tokens], *answer], dtype=np.uint32)
        job = Job(hasher.chain(ids, 0), turn.tokens, turn.answer)

        def ended() -> None:
            assert job.first_token is not None
            key = (session.name, index)
            seen.append(Seen(key, turn.tokens, job.cached_tokens, job.first_token - at_s, timeline.now - at_s))
            if index + 1 < len(session.turns):
                timeline.at(timeline.now + session.turns[index + 1].pause_s, ask, session, index + 1)

        told[job] = ended
        fleet[session.engine].submit(job)

    for session in sessions:
        timeline.at(session.turns[0].pause_s, ask, session, 0)
    while timeline.step():
        pass
    return sorted(seen)


async def real(sessions: Sequence[Session], engines: Sequence[Engine]) -> list[Seen]:
    """Over HTTP, in real time."""
    async with Client(timeout_s=600) as client:
        found = await asyncio.gather(*(_session(client, session, engines[session.engine]) for session in sessions))
    return sorted(one for session in found for one in session)


async def _session(client: Client, session: Session, engine: Engine) -> list[Seen]:
    seen = []
    for index, turn in enumerate(session.turns):
        await asyncio.sleep(turn.pause_s)
        body = msgspec.json.encode(
            {
                "model": MODEL,
                "prompt": session.ids[: turn.tokens],
                "max_tokens": turn.answer,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        )
        headers = {"content-type": "application/json"}
        record = await client.ask(Question(session.name, index, f"{engine.url}/v1/completions", body, headers))
        if record.error:
            raise RuntimeError(f"{session.name}, turn {index}: {record.error} {record.detail}")
        seen.append(Seen((session.name, index), turn.tokens, record.usage.cached_tokens, record.ttft_s, record.whole_s))
    return seen


async def twice(sessions: Sequence[Session], engines: int, profile: Profile) -> list[list[Seen]]:
    """Two runs, each on engines of its own."""
    runs = []
    flags = ("--profile", profile.name, "--kv-tokens", f"{profile.kv_tokens}")
    for _ in range(2):
        started = [Engine(port, *flags) for port in ports(engines)]
        for engine in started:
            engine.start()
        try:
            await asyncio.gather(*(engine.wait_ready() for engine in started))
            runs.append(await real(sessions, started))
        finally:
            for engine in started:
                engine.kill()
    return runs


def table(columns: Sequence[Sequence[Seen]]) -> Table:
    """HTTP, HTTP again, virtual."""

    def percentiles(values: Callable[[Seen], float], share: float) -> tuple[str, ...]:
        return tuple(number(1000 * float(np.percentile([*map(values, runs)], share)), "ms") for runs in columns)

    hits = (sum(one.cached for one in runs) / sum(one.prompt for one in runs) for runs in columns)
    like_first = (sum(a.cached == b.cached for a, b in zip(columns[0], runs, strict=True)) for runs in columns)
    rows = [
        ("requests", *(f"{len(runs)}" for runs in columns)),
        ("hit rate", *(f"{100 * hit:.2f} %" for hit in hits)),
        ("requests with the first run's cached tokens", *(f"{like}" for like in like_first)),
        *((f"TTFT p{share}", *percentiles(lambda one: one.ttft_s, share)) for share in (50, 90, 99)),
        *((f"end to end p{share}", *percentiles(lambda one: one.whole_s, share)) for share in (50, 99)),
    ]
    return Table("The same sessions under two clocks", ("", "HTTP", "HTTP again", "virtual clock"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=int, default=2)
    parser.add_argument("--sessions", type=int, default=24)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    sessions = made_up(options.sessions, options.engines, options.turns, random.Random(options.seed))
    before = Ticks.now()
    over_http = asyncio.run(twice(sessions, options.engines, PROFILE))
    print(table([*over_http, virtual(sessions, options.engines, PROFILE)]).markdown())
    print(f"\n{Ticks.now().since(before)}.")


if __name__ == "__main__":
    main()
