"""Loops and pauses, under a clock of their own."""

import asyncio
import itertools
from collections.abc import Callable, Iterator

import pytest

from loadtests.laboratory.replay.conversations import Ask, Conversation
from loadtests.laboratory.replay.pace import Pace, arrivals
from loadtests.laboratory.replay.player import Player, body_of
from loadtests.laboratory.replay.record import Record


class FastLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer instead of waiting for it; else its clock stands still."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def conversation(name: str, thinks_s: list[float], starts_s: float | None = None) -> Conversation:
    def make() -> Iterator[Ask]:
        return (Ask(think_s, 10, {"messages": [{"role": "user", "content": name}]}) for think_s in thinks_s)

    return Conversation(name, len(thinks_s), starts_s, make)


def played(
    pace: Pace,
    conversations: Iterator[Conversation],
    last_s: float | None = None,
    saw: Callable[[Record], None] = lambda record: None,
) -> list[tuple[str, int, float]]:
    """(conversation, turn, second) of each request; every answer takes 2 s."""
    sent: list[tuple[str, int, float]] = []

    async def go() -> None:
        began = asyncio.get_running_loop().time()

        async def send(one: Conversation, turn: int, ask: Ask) -> Record:
            sent.append((one.name, turn, round(asyncio.get_running_loop().time() - began, 1)))
            await asyncio.sleep(2.0)
            return Record(one.name, turn, 0.0, 0.0, 0.0)

        await Player(pace, send, saw).play(conversations, last_s)

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(go())
    return sent


def test_the_next_turn_waits_for_the_answer_and_the_pause() -> None:
    sent = played(Pace(think_scale=0.5, max_think_s=4.0), iter([conversation("a", [0, 6, 100])]))
    assert sent == [("a", 0, 0.0), ("a", 1, 5.0), ("a", 2, 11.0)]


def test_in_the_closed_loop_one_begins_when_another_one_ends() -> None:
    sent = played(Pace(sessions=2, ramp_s=2.0), iter([conversation(name, [0, 1]) for name in "abc"]))
    assert [(name, at) for name, turn, at in sent if not turn] == [("a", 0.0), ("b", 1.0), ("c", 5.0)]


def test_arrivals_do_not_wait() -> None:
    pace = Pace("poisson", rate=10.0)
    sent = played(pace, iter([conversation(str(n), [0]) for n in range(200)]))
    assert 15 < sent[-1][2] < 26
    assert sent == played(pace, iter([conversation(str(n), [0]) for n in range(200)]))


def test_recorded_arrivals_are_scaled() -> None:
    sent = played(Pace("recorded", think_scale=0.5), iter([conversation("a", [0], 0.0), conversation("b", [0], 3.0)]))
    assert [at for *_, at in sent] == [0.0, 1.5]


def test_nothing_is_asked_after_the_end_and_no_session_takes_the_place_of_one_that_waits_for_it() -> None:
    endless = (conversation(str(n), [0, 3, 3]) for n in itertools.count())
    sent = played(Pace(sessions=1), endless, last_s=23.0)
    assert [(name, at) for name, _, at in sent] == [
        ("0", 0.0),
        ("0", 5.0),
        ("0", 10.0),
        ("1", 12.0),
        ("1", 17.0),
        ("1", 22.0),
    ]
    endless = (conversation(str(n), [0, 3, 3]) for n in itertools.count())
    assert len(played(Pace(sessions=1), endless, last_s=21.0)) == 5


def test_turns_are_limited() -> None:
    assert len(played(Pace(max_turns=2), iter([conversation("a", [0, 1, 1, 1])]))) == 2


def test_what_the_observer_raises_ends_the_replay() -> None:
    def saw(record: Record) -> None:
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        played(Pace(), iter([conversation("a", [0]), conversation("b", [0, 9])]), saw=saw)


def test_the_body_keeps_what_was_recorded_and_asks_for_usage() -> None:
    ask = Ask(0.0, 50, {"messages": [], "tools": [1], "model": "old", "max_completion_tokens": 9, "temperature": 0.5})
    assert body_of(ask, "new", 20, {"ignore_eos": True}) == {
        "messages": [],
        "tools": [1],
        "temperature": 0.5,
        "model": "new",
        "max_tokens": 20,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
    }
    assert body_of(ask, "new", 0, {})["max_tokens"] == 50


def test_only_the_first_sessions_of_the_closed_loop_are_spread() -> None:
    found = list(arrivals(Pace(sessions=4, ramp_s=8.0), iter([conversation("a", [0])] * 6)))
    assert [at for at, _ in found] == [0.0, 2.0, 4.0, 6.0, 0.0, 0.0]
