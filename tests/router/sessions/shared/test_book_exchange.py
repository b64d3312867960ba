"""The book of sessions through a real server: killed, emptied, frozen and poisoned, and a router that dies."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from router.fleet.load_exchange import LoadExchange
from router.sessions.recognition.turn import Turn
from router.sessions.shared import book_exchange as module
from router.sessions.shared.batch import VERSION, Batch, pack
from router.sessions.shared.book_exchange import BookExchange
from router.sessions.shared.fleet_book import TRIES, FleetBook
from router.sessions.shared.telling import Taken
from router.shared.keys import Keys
from router.shared.link import Link
from router.shared.publishing import Publisher
from router.shared.seal import Seal
from tests.router.fleets import MODEL
from tests.router.sessions.admission.test_admission import Site
from tests.router.sessions.chains import prompt_of
from tests.router.sessions.recognition.test_families import hint_of
from tests.router.shared.conftest import LIMITS, make_link, until
from tests.servers import RedisServer

KEYS = Keys("test")
SEAL = Seal(b"secret", "test", "sessions")
LOADS = Seal(b"secret", "test", "load")
NAMES = ("aaaa", "bbbb", "cccc", "dddd", "eeee")


class LiveRouter(Site):
    """Its sessions, and its end of the exchange, by the clock of this machine."""

    def __init__(self, link: Link, name: str) -> None:
        super().__init__()
        self.link = link
        self.load = LoadExchange(link, KEYS, name, LOADS, time.monotonic)
        self.book = FleetBook(self.admission, name)
        self.exchange = BookExchange((link, KEYS), SEAL, self.load, self.book, time.monotonic)
        self.tasks = [asyncio.create_task(part.run()) for part in (self.load, self.exchange)]

    @property
    def now(self) -> float:
        return time.monotonic()

    @now.setter
    def now(self, value: float) -> None:
        """Time goes by itself."""

    def begin(self, name: str, grow: int = 0) -> Turn:
        """A turn that runs until the test ends it."""
        turn, _ = self.arrive(name, grow)
        turn.begin(self.workers[0])
        return turn

    def inside(self) -> int:
        place = self.admission.sets.get(self.workers[0].holder)
        return len(place.sessions) if place is not None else 0

    async def die(self) -> None:
        """Its process is gone."""
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)
        await self.link.__aexit__(None, None, None)


@asynccontextmanager
async def routers(server: RedisServer, count: int = 2) -> AsyncIterator[list[LiveRouter]]:
    """So many, which know each other."""
    async with AsyncExitStack() as stack:
        found: list[LiveRouter] = []
        for number in range(count):
            link = await stack.enter_async_context(make_link(server.url, LIMITS))
            found.append(LiveRouter(link, NAMES[number]))
            found[-1].lengths = found[0].lengths
            for task in found[-1].tasks:
                stack.callback(task.cancel)
        await until(lambda: all(each.book.routers == count - 1 for each in found))
        await until(lambda: all(each.admission.share == 1.0 for each in found))
        yield found


def tampered(server: RedisServer, *words: bytes | str) -> None:
    with server.client() as client:
        client.execute_command(*words)


@pytest.fixture(autouse=True)
def empty(request: pytest.FixtureRequest) -> None:
    if "server" in request.fixturenames:
        tampered(request.getfixturevalue("server"), "FLUSHALL")


async def test_what_one_lets_in_all_count(server: RedisServer) -> None:
    async with routers(server, 3) as found:
        turns = [found[0].begin("a"), found[1].begin("b")]
        await until(lambda: all(each.inside() == 2 for each in found))
        turns.append(found[2].begin("c"))
        await until(lambda: all(each.inside() == 3 for each in found))
        assert all(each.places(each.arrive("d")[0]) == [] for each in found)
        for turn in turns:
            turn.left(None, False)
        await until(lambda: all(each.inside() == 0 for each in found))


async def test_room_is_given_once(server: RedisServer) -> None:
    async with routers(server, 3) as found:
        for name in "ab":
            found[0].begin(name)
        await until(lambda: all(each.inside() == 2 for each in found))
        turns = [(each, each.arrive(name)[0]) for each, name in zip(found, "xyz", strict=True)]

        async def take(router: LiveRouter, turn: Turn) -> bool:
            goes = await router.book.reserve(turn, router.workers[0])
            if goes:
                turn.begin(router.workers[0])
            return goes

        assert sorted(await asyncio.gather(*(take(*each) for each in turns))) == [False, False, True]
        await until(lambda: all(each.inside() == 3 for each in found))


async def test_a_turn_of_nobody_that_is_known_is_asked_for(server: RedisServer) -> None:
    async with routers(server) as (one, two):
        prompt = one.prompt("a")
        turn = one.begin("a")
        turn.answers(prompt)
        await asyncio.sleep(2 * module.GATHER_S)
        later, _ = two.arrive("a", grow=500)
        reading = two.book.refresh(later)
        if reading is not None:
            await asyncio.wait((reading,))

        def known() -> bool:
            two.book.recognise(later)
            return later.session is not None

        await until(known)
        assert later.standing == "inside"


async def test_a_child_of_a_family_that_is_known_is_asked_for(server: RedisServer) -> None:
    async with routers(server) as (one, two):
        parent = one.admission.arrive(MODEL, {"f": one.prompt("a")}, hint=hint_of("a"))
        assert parent is not None
        parent.begin(one.workers[0])
        child = two.admission.arrive(MODEL, {"f": two.prompt("b")}, hint=hint_of("child", "a"))
        assert child is not None
        assert child.standing == "new"

        def known() -> bool:
            two.book.refresh(child)
            two.book.recognise(child)
            return child.standing == "branch"

        await until(known)
        assert two.book.routers == 1


async def test_a_new_router_is_told_all(server: RedisServer) -> None:
    async with routers(server) as (one, two):
        one.begin("a")
        two.begin("b")
        await until(lambda: one.inside() == two.inside() == 2)
        async with make_link(server.url, LIMITS) as link:
            three = LiveRouter(link, "cccc")
            try:
                await until(lambda: three.inside() == 2)
                await until(lambda: one.book.routers == 2)
            finally:
                await three.die()


async def test_a_lease_that_is_over_ends_at_each_look(server: RedisServer) -> None:
    """A session that is inside for a router alone looks like one too many."""
    async with routers(server) as (one, two):
        turn = one.begin("a")
        await until(lambda: two.inside() == 1)
        turn.left(turn.prompt, True)  # without a tool call, and the first one: its lease is over at once
        await until(lambda: two.admission.sets[two.workers[0].holder].soonest_end < two.now or not two.inside())
        for each in (one, two):
            each.exchange._told_at = each.now
            each.exchange._look()
            assert each.inside() == 0


async def test_a_dead_router_s_turns_end(server: RedisServer) -> None:
    async with routers(server) as (one, two):
        one.begin("a")
        await until(lambda: two.inside() == 1)
        (session,) = two.admission.sets[two.workers[0].holder].sessions
        assert session.running == 1
        await one.die()
        began = time.monotonic()
        await until(lambda: not session.running)
        assert two.book.routers == 0
        assert time.monotonic() - began < 10


async def test_an_emptied_redis_is_told_again(server: RedisServer) -> None:
    async with routers(server) as (one, two):
        one.begin("a")
        two.begin("b")
        await until(lambda: one.inside() == two.inside() == 2)
        heard = one.admission.heard
        tampered(server, "FLUSHALL")
        await until(lambda: one.admission.heard > heard)
        await until(lambda: one.inside() == two.inside() == 2)
        await until(lambda: one.admission.share == two.admission.share == 1.0)


async def test_without_redis_each_admits_into_its_share_and_all_agree_afterwards(own_server: RedisServer) -> None:
    async with routers(own_server) as (one, two):
        one.begin("a")
        two.begin("b")
        await until(lambda: one.inside() == two.inside() == 2)
        own_server.kill()
        await until(lambda: one.admission.share == two.admission.share == 0.5)
        assert one.inside() == two.inside() == 1, "its own alone"
        turn = one.arrive("c")[0]
        assert one.places(turn) == [], "45,000 of 100,000 tokens hold no second one of 30,000"
        small = one.admission.arrive(MODEL, {"f": prompt_of(("d", 9_000))})
        assert await one.book.reserve(small, one.workers[0]), "nobody can be asked"
        assert not await one.book.reserve(turn, one.workers[0]), "nor is there room"
        own_server.start()
        await until(lambda: one.inside() == two.inside() == 2, 20)
        await until(lambda: one.admission.share == two.admission.share == 1.0)


async def test_a_frozen_redis_holds_nobody_up(own_server: RedisServer) -> None:
    async with routers(own_server) as (one, two):
        two.begin("b")
        await until(lambda: one.inside() == 1)
        own_server.freeze()
        try:
            assert await asyncio.wait_for(one.book.reserve(one.arrive("a")[0], one.workers[0]), 5)
            assert one.book.outcomes[Taken.UNSURE] == TRIES
            await until(lambda: one.admission.share == 0.5)
        finally:
            own_server.thaw()
        await until(lambda: one.inside() == 1 and one.admission.share == 1.0, 20)


@pytest.mark.parametrize("kind", ["string", "top", "ahead", "huge", "nonsense", "forged", "again", "many"])
async def test_what_another_hand_leaves_is_got_over(server: RedisServer, kind: str) -> None:
    async with routers(server) as (one, two):
        one.begin("a")
        await until(lambda: two.inside() == 1)
        refused = two.link.counters.refused
        if kind == "string":
            tampered(server, "SET", KEYS.sessions, "x")
        elif kind == "top":
            top = f"{2**64 - 1}-{2**64 - 1}"
            tampered(server, "XADD", KEYS.sessions, top, "r", "xxxx", "b", "x", "t", "1")
        elif kind == "ahead":
            tampered(server, "XADD", KEYS.sessions, f"{2**63}-0", "r", "xxxx", "b", "x", "t", "0")
            await until(lambda: one.exchange._position > b"9" and two.exchange._position > b"9")
            tampered(server, "DEL", KEYS.sessions)
        elif kind == "huge":
            huge = "x" * (module.MAX_ANSWER_BYTES + 1)
            tampered(server, "XADD", KEYS.sessions, "*", "r", "xxxx", "b", huge, "t", "0")
        elif kind == "nonsense":
            for words in (("x", ""), ("r", "a" * 40, "b", "x"), ("r", "xxxx", "b", "y" * 300_000, "t", "1")):
                tampered(server, "XADD", KEYS.sessions, "*", *words)
        elif kind == "forged":
            publisher = Publisher(Seal(b"another", "test", "sessions"), "xxxx")
            text = publisher.write(pack(Batch(VERSION, True, [], [], [], [])), two.load.now_ms() or 0)
            tampered(server, "XADD", KEYS.sessions, "*", "r", "xxxx", "b", text, "t", "1")
            await until(lambda: refused.values.get(("sessions",), 0) >= 1)
        elif kind == "again":
            with server.client() as client:
                words = client.xrevrange(KEYS.sessions, count=1)[0][1]
                client.xadd(KEYS.sessions, words)
            await until(
                lambda: sum(each.link.counters.refused.values.get(("sessions_old",), 0) for each in (one, two)) >= 1
            )
        else:
            with server.client() as client:
                pipe = client.pipeline()
                for _ in range(3_000):
                    pipe.xadd(KEYS.sessions, {"r": "xxxx", "b": "x" * 200, "t": "1"})
                pipe.execute()
        two.begin("b")
        await until(lambda: one.inside() == two.inside() == 2)
        assert one.book.routers == two.book.routers == 1
