"""The room with a real loop and hand-made places: turns, deadlines, leaving, pushing out."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from router.clients import Client, ClientSpec
from router.observe.instruments import Histogram
from router.routing.fair_queue import Ticket
from router.routing.line import LineLimits
from router.routing.waiting_room import Verdict, WaitingRoom
from router.wire.limits import ClientError


def client(label: str, weight: float = 1.0) -> Client:
    return Client(ClientSpec(label=label, hash="", weight=weight), bytes(16), time.monotonic)


A, B = client("a"), client("b")


class Places:
    """So many places; a decision says how many are left, and who goes takes one, as with a lease."""

    def __init__(self, room: WaitingRoom, free: int = 0) -> None:
        self.room = room
        self.free = free
        self.went: list[str] = []
        self.decisions = 0

    async def ask(self, who: Client, name: str = "", group: str = "m") -> None:
        async def decide() -> int:
            self.decisions += 1
            await asyncio.sleep(0)
            return self.free

        ticket = Ticket(who.label, who.weight, group, turn=name.encode())
        self.room.comes_back(ticket)
        await self.room.wait(ticket, decide, lambda free: Verdict(free > 0, 1000))
        assert self.free > 0, "a place was given away twice"
        self.free -= 1
        self.went.append(name or who.label)


def room(timeout_s: float = 5.0, max_requests: int = 100) -> WaitingRoom:
    return WaitingRoom(
        LineLimits(1.0, timeout_s, max_requests), time.monotonic, Histogram("w", "", ("client", "reason"))
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def refusal(asked: Awaitable[None]) -> ClientError:
    with pytest.raises(ClientError) as caught:
        await asked
    return caught.value


async def test_places_are_given_one_by_one_in_order() -> None:
    places = Places(room())
    tasks = [asyncio.create_task(places.ask(A, str(number))) for number in range(20)]
    await until(lambda: len(places.room) == 20)
    assert places.room.crowded("m")
    assert not places.room.crowded("n")
    places.free = 3
    await until(lambda: len(places.went) == 3)
    places.free = 50
    await asyncio.gather(*tasks)
    assert places.went == [str(number) for number in range(20)]
    assert (len(places.room), places.free, places.room.crowded("m")) == (0, 33, False)


async def test_clients_take_turns() -> None:
    places = Places(room())
    heavy = [asyncio.create_task(places.ask(A)) for _ in range(20)]
    light = [asyncio.create_task(places.ask(B)) for _ in range(3)]
    await until(lambda: len(places.room) == 23)
    places.free = 6
    await until(lambda: len(places.went) == 6)
    assert places.went.count("b") == 3
    places.free = 100
    await asyncio.gather(*heavy, *light)


async def test_nobody_waits_longer_than_the_limit() -> None:
    places = Places(room(timeout_s=0.05))
    error = await refusal(places.ask(A))
    assert (error.status, error.code, error.reason, len(places.room)) == (503, "queue_timeout", "queue_timeout", 0)
    assert 1 <= (error.retry_after_s or 0) <= 60
    assert places.decisions >= 2, "it was tried again while it waited"


async def test_a_full_room_sends_the_newest_of_the_largest_client_away() -> None:
    places = Places(room(max_requests=2))
    first, second = (asyncio.create_task(places.ask(A, str(number))) for number in range(2))
    await until(lambda: len(places.room) == 2)
    assert (await refusal(places.ask(A, "third"))).code == "queue_full"
    light = asyncio.create_task(places.ask(B, "light"))
    assert (await refusal(second)).reason == "queue_full"
    places.free = 2
    await asyncio.gather(first, light)
    assert set(places.went) == {"0", "light"}


async def test_who_leaves_frees_the_place_at_once() -> None:
    places = Places(room())
    tasks = [asyncio.create_task(places.ask(A, str(number))) for number in range(10)]
    await until(lambda: len(places.room) == 10)
    for task in tasks[:9]:
        task.cancel()
    await asyncio.wait(tasks[:9])
    assert all(task.cancelled() for task in tasks[:9])
    assert len(places.room) == 1
    places.free = 1
    await tasks[9]
    assert places.went == ["9"]


async def test_who_leaves_and_comes_back_stands_where_it_stood() -> None:
    places = Places(room())
    tasks = [asyncio.create_task(places.ask(A, str(number))) for number in range(3)]
    await until(lambda: len(places.room) == 3)
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    tasks[0] = asyncio.create_task(places.ask(A, "0"))
    await until(lambda: len(places.room) == 3)
    places.free = 3
    await asyncio.gather(*tasks)
    assert places.went == ["0", "1", "2"]


async def test_an_error_of_the_decision_ends_the_wait_of_that_one_alone() -> None:
    places = Places(room())

    async def decide() -> int:
        raise RuntimeError("no worker")

    asked = asyncio.create_task(places.room.wait(Ticket("a", 1.0, "m"), decide, lambda _: Verdict(True, 1)))
    other = asyncio.create_task(places.ask(A))
    with pytest.raises(RuntimeError):
        await asked
    places.free = 1
    await other


async def test_a_blocked_model_holds_up_no_other() -> None:
    waiting = room()
    none, some = Places(waiting), Places(waiting, free=5)
    blocked = asyncio.create_task(none.ask(A, group="none"))
    await until(lambda: len(waiting) == 1)
    await asyncio.gather(*(some.ask(A, group="some") for _ in range(5)))
    none.free = 1
    await blocked


async def test_leaving_during_the_own_turn_gives_it_on() -> None:
    waiting = room()
    deciding = asyncio.Event()

    async def never() -> int:
        deciding.set()
        await asyncio.sleep(60)
        return 0

    first = asyncio.create_task(waiting.wait(Ticket("a", 1.0, "m"), never, lambda _: Verdict(True, 1)))
    await deciding.wait()
    places = Places(waiting, free=1)
    second = asyncio.create_task(places.ask(A))
    await asyncio.sleep(0.03)
    assert not places.went
    first.cancel()
    await second
