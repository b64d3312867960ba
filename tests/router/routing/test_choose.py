"""What an attempt is made of a decision; who else could be tried; when a request waits."""

import asyncio
import time
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

import policies
from router.clients import Client, ClientSpec
from router.fleet.lease import Lease
from router.fleet.worker import Worker
from router.observe.instruments import Histogram
from router.prefix.residency import Limits
from router.prefix.tree import TreeIndex
from router.routing.asked import Asked
from router.routing.choose import Chooser, at_owner, choice_of, others_available, ticket_of
from router.routing.decide import Decider, Decision, NoWorkerError
from router.routing.fair_queue import Ticket
from router.routing.line import LineLimits
from router.routing.waiting_room import WaitingRoom
from router.sessions.admission.admission import SessionAdmission
from router.sessions.memory.session import Session
from router.sessions.recognition.turn import Turn
from router.sessions.shared.fleet_book import NOTICE_S, NOTICED, FleetBook
from router.sessions.shared.telling import Taken
from router.wire.errors import ApiError, UnservedError
from router.wire.keep_alive import KeepAlive
from tests.router.fleets import MODEL, make_fleet
from tests.router.sessions.chains import prompt_of
from tests.router.sessions.pair import Routers
from tokenizer_cache.bodies.request import parse
from tokenizer_cache.prompt import Prompt

PROMPT = Prompt(chain=b"k" * 16, known_blocks=2, tokens=150, block_tokens=64, exact=True, source="encoded")
REQUEST = parse("chat", b'{"model":"m","messages":[{"role":"user","content":"hello"}]}')


class Case:
    """A fleet of two, and a request for its model."""

    def __init__(self, bound_s: float = 1.0) -> None:
        self.fleet = make_fleet(2)
        self.group = self.fleet.groups[MODEL]
        self.one, self.two = self.group.workers
        self.now = 0.0
        clock = lambda: self.now  # noqa: E731
        index = TreeIndex(Limits(), clock, lambda error: None)
        rng = Random(1)
        self.room = room = WaitingRoom(LineLimits(bound_s, 1.0, 1), clock, Histogram("w", "", ("client", "reason")))
        self.admission = SessionAdmission(60.0, clock=clock)
        self.book = FleetBook(self.admission, clock=clock)
        decider = Decider(policies.build("expected_ttft", rng), index, rng)
        self.chooser = Chooser(self.fleet, decider, room, self.book, clock)
        self.asked = Asked(
            group=self.group, model=MODEL, request=REQUEST, prompts={self.one.format: PROMPT}, stream=True
        )


def alive() -> KeepAlive:
    """It keeps nothing alive, and knows where the request stands."""
    exchange: Any = None
    return KeepAlive(exchange, 0.0)


async def decided(case: Case, asked: Asked, *failed: Worker) -> Decision:
    decision = await case.chooser.decide(asked, failed)
    assert decision is not None
    return decision


async def test_a_choice_says_what_is_expected_of_its_worker() -> None:
    case = Case()
    choice = choice_of(case.asked, await decided(case, case.asked, case.one))
    assert choice.worker is case.two
    assert (choice.candidates, choice.prompt, choice.format) == (1, PROMPT, case.two.format)
    assert (choice.prompt_tokens, choice.cached_tokens, choice.uncached_tokens) == (150, 0, 150)
    assert (choice.source, choice.charged_tokens, choice.shows_prefill) == ("encoded", 150, True)
    assert choice.prefill_s == pytest.approx(150 / 8000)


async def test_without_a_prompt_the_load_decides_and_nothing_is_expected() -> None:
    case = Case()
    asked = Asked(group=case.group)
    with Lease(case.one, 0, 0):
        choice = choice_of(asked, await decided(case, asked))
    assert (choice.worker, choice.prompt, choice.prompt_tokens) == (case.two, None, 0)


async def test_who_failed_is_not_chosen_again() -> None:
    case = Case()
    with pytest.raises(NoWorkerError):
        await case.chooser.decide(case.asked, (case.one, case.two))


def test_an_owner_is_the_only_choice() -> None:
    case = Case()
    choice = at_owner(case.asked, case.one, ())
    assert (choice.worker, choice.reason, choice.charged_tokens, choice.uncached_tokens) == (case.one, "owner", 150, 0)
    with pytest.raises(NoWorkerError):
        at_owner(case.asked, case.one, (case.one,))
    case.fleet.on_unhealthy(case.one.id, "away")
    with pytest.raises(NoWorkerError):
        at_owner(case.asked, case.one, ())


def test_others_are_those_that_were_not_tried_and_can_take_it() -> None:
    case = Case()
    assert others_available(case.asked, (case.one,))
    assert not others_available(case.asked, (case.one, case.two))
    assert not others_available(Asked(group=case.group, owner=case.one), (case.one,))
    case.fleet.on_unhealthy(case.two.id, "away")
    assert not others_available(case.asked, (case.one,))


@pytest.mark.parametrize(("bound_s", "prompt", "waits"), [(1.0, True, True), (0.0, True, False), (1.0, False, False)])
async def test_only_prompts_wait_and_only_where_that_is_wanted(bound_s: float, prompt: bool, waits: bool) -> None:
    case = Case(bound_s)
    asked = case.asked if prompt else Asked(group=case.group)
    with Lease(case.one, 90_000, 90_000), Lease(case.two, 90_000, 90_000):
        assert case.chooser.must_wait(asked, await case.chooser.decide(asked)) is waits


def test_a_group_is_looked_up_anew() -> None:
    case = Case()
    assert case.chooser.renewed(case.asked) is case.asked
    case.fleet.add("http://w9:8000")
    case.fleet.on_groups.clear()
    renewed = case.chooser.renewed(case.asked)
    assert renewed.group is case.fleet.groups[MODEL]
    assert case.chooser.renewed(Asked(group=case.group)).group is case.group


async def test_a_turn_that_finds_no_room_must_wait_and_one_that_failed_goes_anywhere() -> None:
    case = Case()
    for worker in (case.one, case.two):
        other = case.admission.arrive(MODEL, {case.one.format: Prompt(bytes(8), 1, 99_000, 64, True, "ids")})
        assert other is not None
        other.begin(worker)
    prompt = Prompt(bytes(range(8)) * 31, 31, 2000, 64, True, "ids")
    asked = case.chooser.with_turn(replace(case.asked, prompts={case.one.format: prompt}))
    assert asked.turn is not None
    assert await case.chooser.decide(asked) is None
    assert case.chooser.must_wait(asked, None)
    assert not case.chooser.judge(None).goes
    again = await case.chooser.decide(asked, (case.one,))
    assert again is not None
    assert again.worker is case.two
    search = case.chooser.search(asked)
    assert search is not None
    assert not search.found()
    assert case.admission.demand(MODEL).waiting == {asked.turn: None}
    assert search.round_s() > 0
    search.end()
    assert case.admission.demand(MODEL).waiting == {}


async def test_a_turn_with_room_at_a_saturated_worker_alone_does_not_begin() -> None:
    case = Case()
    other = case.admission.arrive(MODEL, {case.two.format: Prompt(bytes(8), 1, 99_000, 64, True, "ids")})
    assert other is not None
    other.begin(case.two)
    prompt = Prompt(bytes(range(8)) * 31, 31, 2000, 64, True, "ids")
    search = case.chooser.search(case.chooser.with_turn(replace(case.asked, prompts={case.one.format: prompt})))
    assert search is not None
    with Lease(case.one, 90_000, 90_000):
        assert search.found()
        assert not search.begins(), "it would wait for 11 s at the worker that has room"
        assert not search.stalled, "the other worker is free"
    case.now += 1.0
    assert search.begins()
    search.end()


async def test_a_turn_whose_room_another_router_has_taken_waits_on() -> None:
    case = Case()
    prompt = Prompt(bytes(range(8)) * 31, 31, 30_000, 64, True, "ids")
    asked = case.chooser.with_turn(
        replace(
            case.asked,
            prompts={case.one.format: prompt},
            client=Client(ClientSpec(label="c", hash=""), bytes(16), time.monotonic),
        )
    )
    decision = await decided(case, asked)
    assert await case.chooser.reserve(asked, decision), "there is no other router"
    answers = [Taken.NO, Taken.YES]

    async def take(batch: bytes) -> Taken:
        answer = answers.pop(0)
        if answer is Taken.NO:  # it has taken the room of both
            for worker in (case.one, case.two):
                other = case.admission.arrive(MODEL, {case.one.format: Prompt(bytes(8), 1, 99_000, 64, True, "ids")})
                assert other is not None
                other.begin(worker)
                others.append(other)
        return answer

    others: list[Turn] = []
    case.book.shared, case.book.take = True, take
    assert not await case.chooser.reserve(asked, decision)
    waiting = asyncio.create_task(case.chooser.wait(asked, alive()))
    while not case.admission.demand(MODEL).waiting:
        await asyncio.sleep(0)
    others[0].left(None, False)
    assert (await waiting).worker is case.one
    assert answers == []


async def test_a_session_that_another_router_tells_of_is_recognised_in_the_look() -> None:
    case = Case()
    prompt = Prompt(bytes(range(8)) * 31, 31, 2000, 64, True, "ids")
    asked = case.chooser.with_turn(replace(case.asked, prompts={case.one.format: prompt}))
    assert asked.turn is not None
    assert asked.turn.session is None
    told = asyncio.get_running_loop().create_future()

    def read() -> asyncio.Future[object]:
        asyncio.get_running_loop().call_soon(tell)
        return told

    def tell() -> None:
        session = Session(MODEL)
        case.admission.book.note(session, prompt)
        case.admission.heard += 1
        told.set_result(None)

    case.book.shared, case.book.read = True, read
    await case.chooser.look(asked)
    assert asked.turn.session is not None


async def test_a_prompt_that_no_worker_can_hold_is_refused() -> None:
    case = Case()
    with pytest.raises(ApiError) as caught:
        case.chooser.with_turn(replace(case.asked, prompts={case.one.format: replace(PROMPT, tokens=100_001)}))
    assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")
    case.chooser.with_turn(replace(case.asked, prompts={case.one.format: replace(PROMPT, tokens=100_000)}))
    estimated = replace(PROMPT, tokens=100_001, exact=False)
    case.chooser.with_turn(replace(case.asked, prompts={case.one.format: estimated}))


async def test_who_comes_back_is_not_refused_as_new_and_has_waited_already() -> None:
    case = Case()
    case.admission.bound_s = 1e-6
    for number in range(3):
        turn = case.admission.arrive(MODEL, {"f": prompt_of((str(number), 60_000))})
        assert turn is not None
        turn.begin((case.one, case.two)[number % 2])
        case.admission.wait(turn)
    client = Client(ClientSpec(label="a", hash=""), bytes(16), lambda: 0.0)
    new = replace(case.asked, client=client, prompts={case.one.format: prompt_of(("new", 60_000))})
    with pytest.raises(UnservedError) as caught:
        await case.chooser.wait(case.chooser.with_turn(new), alive())
    assert (caught.value.code, caught.value.in_line) == ("no_room", 0)
    stood = ticket_of(new, None)
    stood.number, stood.came = 5, -9.0
    case.room._kept.keep(stood, 0.0)
    again = case.chooser.with_turn(new)
    waiting = asyncio.ensure_future(case.chooser.wait(again, told := alive()))
    await asyncio.sleep(0)
    assert told.before is not None
    assert told.before() == 0
    assert again.turn is not None
    assert (len(case.room), again.turn.arrived_at) == (1, -9.0)
    waiting.cancel()
    await asyncio.wait((waiting,))
    assert told.before is None, "it stands in no line any more"


async def test_who_comes_later_stands_in_line_though_nothing_is_ever_saturated() -> None:
    case = Case(bound_s=0.0)
    decision = await decided(case, case.asked)
    assert not case.chooser.must_wait(case.asked, decision)
    case.room.line.enter(Ticket("", 1.0, MODEL), lambda: None)
    assert case.chooser.must_wait(case.asked, decision)


def test_of_many_that_wait_a_few_are_looked_at_again_at_once_and_all_of_them_soon() -> None:
    routers = Routers(2)
    one, two = routers.all
    waiting = [two.arrive(f"new{number}")[0] for number in range(3 * NOTICED)]
    one.begin("a")
    routers.talk()
    known = []
    for _ in range(4):
        for turn in waiting:
            two.book.notice(turn)
        known.append(sum(turn.heard == two.admission.heard for turn in waiting))
        routers.wait(2 * NOTICE_S)
    assert known == [NOTICED, 2 * NOTICED, 3 * NOTICED, 3 * NOTICED]
