"""Room is given once over several routers: who takes it asks the others first."""

import asyncio

import pytest

from router.sessions.shared.fleet_book import TRIES
from router.sessions.shared.telling import Taken
from tests.router.sessions.pair import MODEL, Routers


async def test_room_is_given_once() -> None:
    routers = Routers(2)
    one, two = routers.all
    for name in "ab":
        one.run(name)
    routers.talk()
    first, second = one.arrive("c")[0], two.arrive("d")[0]
    assert one.places(first) == two.places(second) == ["w0"]
    assert await one.book.reserve(first, one.workers[0])
    first.begin(one.workers[0])
    assert not await two.book.reserve(second, two.workers[0]), "the other one has it, though it has told nothing else"
    assert two.book.outcomes[Taken.NO] == 1
    assert second.session is None
    assert not two.admission.sets[two.workers[0].holder].claims
    routers.talk()
    assert routers.agree()[1] == 3


async def test_who_takes_other_room_at_the_same_time_tries_again() -> None:
    routers = Routers(2)
    one, two = routers.all
    one.run("a")
    routers.talk()
    first, second = one.arrive("c")[0], two.arrive("d")[0]
    assert await one.book.reserve(first, one.workers[0])
    first.begin(one.workers[0])
    assert await two.book.reserve(second, two.workers[0])
    assert (two.book.outcomes[Taken.NO], two.book.outcomes[Taken.YES]) == (1, 1)
    second.begin(two.workers[0])
    assert second.session is not None
    assert second.session.id == second.session_id
    routers.talk()
    assert routers.agree()[1] == 3


async def test_another_hand_that_always_takes_room_holds_nobody_up() -> None:
    (one,) = Routers(1).all
    asked: list[bytes] = []

    async def never(batch: bytes) -> Taken:
        asked.append(batch)
        return Taken.NO

    one.book.take = never
    assert await one.book.reserve(one.arrive("a")[0], one.workers[0])
    assert len(asked) == TRIES


async def test_who_stays_at_home_or_is_held_back_by_nobody_asks_nobody() -> None:
    routers = Routers(2)
    one, two = routers.all
    one.run("a")
    routers.talk()
    assert await two.book.reserve(two.arrive("a")[0], two.workers[0])
    two.admission.demand(MODEL).holds_back = False
    assert await two.book.reserve(two.arrive("b")[0], two.workers[0])
    assert await two.book.reserve(None, two.workers[0])
    assert sum(two.book.outcomes.values()) == 0


async def test_where_there_is_plenty_nobody_is_asked() -> None:
    routers = Routers(2)
    one, two = routers.all
    for each in routers.all:
        each.give_memory(1_000_000)
    one.run("a")
    routers.talk()
    turn, _ = two.arrive("b")
    assert await two.book.reserve(turn, two.workers[0])
    assert sum(two.book.outcomes.values()) == 0
    two.give_memory(200_000)
    assert await two.book.reserve(turn, two.workers[0])
    assert two.book.outcomes[Taken.YES] == 1


async def test_room_is_promised_while_it_is_asked_for_and_given_back_when_the_request_ends() -> None:
    routers = Routers(2)
    one, two = routers.all
    for name in "ab":
        one.run(name)
    turn, other = one.arrive("c")[0], one.arrive("d")[0]
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(batch: bytes) -> Taken:
        one.stream.append((one.name, batch, True))
        asked.set()
        await go_on.wait()
        return Taken.YES

    one.book.take = slowly
    task = asyncio.create_task(one.book.reserve(turn, one.workers[0]))
    await asked.wait()
    assert one.places(other) == []
    two.hear()
    assert len(two.admission.sets[two.workers[0].holder].sessions) == 1, "the others have been told"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert one.places(other) == ["w0"]
    routers.talk()
    assert routers.agree()[1] == 2


async def test_who_gets_no_answer_asks_again_and_takes_back_what_was_told() -> None:
    routers = Routers(2)
    one, two = routers.all
    for name in "ab":
        one.run(name)
    routers.talk()
    turn = two.arrive("c")[0]

    async def lost(batch: bytes) -> Taken:
        two.stream.append((two.name, batch, True))
        one.begin("d")  # it has not heard of it
        one.stream.append((one.name, one.book.write() or b"", True))
        two.book.take = two.take
        return Taken.UNSURE

    two.book.take = lost
    assert not await two.book.reserve(turn, two.workers[0])
    assert (two.book.outcomes[Taken.UNSURE], two.book.outcomes[Taken.NO]) == (1, 1)
    routers.talk()
    assert routers.agree()[1] == 3
