"""Who goes, who waits and who makes room, with a clock made by hand."""

from dataclasses import replace

import pytest

from router.fleet.worker import Worker
from router.sessions.admission.admission import LEAST_TOKENS, SessionAdmission
from router.sessions.memory.session import Ending
from router.sessions.recognition.turn import Turn
from tests.router.fleets import MODEL, make_fleet
from tests.router.sessions.chains import prompt_of
from tokenizer_cache.prompt import Prompt

BOUND_S = 60.0


class Site:
    """Workers with 100,000 KV tokens each, and sessions that go on turn by turn."""

    def __init__(self, workers: int = 1, bound_s: float = BOUND_S) -> None:
        self.now = 0.0
        self.fleet = make_fleet(workers)
        self.workers = self.fleet.groups[MODEL].workers
        self.admission = SessionAdmission(bound_s, clock=lambda: self.now)
        self.fleet.on_forget.append(self.admission.forget)
        self.lengths: dict[str, int] = {}

    def give_memory(self, tokens: int) -> None:
        for worker in self.workers:
            worker.pool = replace(worker.pool, capacity_tokens=tokens, kept_tokens=tokens)

    def prompt(self, name: str, grow: int = 0) -> Prompt:
        self.lengths[name] = self.lengths.get(name, 30_000) + grow
        return prompt_of((name, self.lengths[name]))

    def arrive(self, name: str, grow: int = 0) -> tuple[Turn, Prompt]:
        prompt = self.prompt(name, grow)
        turn = self.admission.arrive(MODEL, {"f": prompt})
        assert turn is not None
        return turn, prompt

    def places(self, turn: Turn) -> list[str]:
        return [worker.url[7:9] for worker in self.admission.workers_for(turn, self.workers)]

    def run(self, name: str, worker: Worker | None = None, seconds: float = 1.0, ending: bool = True) -> Turn:
        """A whole turn. `ending`: it calls a tool."""
        turn, prompt = self.arrive(name)
        self.places(turn)
        turn.begin(worker or self.workers[0])
        self.now += seconds
        turn.left(prompt, True)
        turn.learn(ending, 100, None)
        return turn

    def tokens(self, number: int = 0) -> int:
        place = self.admission.sets.get(self.workers[number].holder)
        return place.tokens if place is not None else 0


def test_sessions_are_let_in_while_they_fit_and_come_back_to_their_place() -> None:
    site = Site()
    for name in "abc":
        assert site.places(site.arrive(name)[0]) == ["w0"]
        site.run(name)
    outside, _ = site.arrive("d")
    assert site.places(outside) == []
    site.admission.wait(outside)
    again, _ = site.arrive("a", grow=200)
    assert again.inside
    assert site.places(again) == ["w0"]
    assert site.admission.pinned(again)
    assert not site.admission.pinned(outside)
    site.admission.demand(MODEL).holds_back = False
    assert not site.admission.pinned(again), "it stands aside: those that wait do so for a worker, and first"
    site.admission.demand(MODEL).holds_back = True


@pytest.mark.parametrize("outside", [False, True])
def test_of_many_turns_that_are_sent_at_once_one_has_the_place_of_their_session(outside: bool) -> None:
    """Else who sends them goes past the line, and pushes all others out."""
    site = Site()
    for name in "abc":
        site.run(name)
    waiting, _ = site.arrive("d")
    assert site.places(waiting) == []
    site.admission.wait(waiting)
    if outside:
        session = next(iter(site.admission.sets[site.workers[0].holder].sessions))
        session.place.leave(session)
    many = [site.admission.arrive(MODEL, {"f": prompt_of(("a", 30_000), (f"x{n}", 4_000))}) for n in range(20)]
    went = 0
    for turn in many:
        assert turn is not None
        if site.places(turn):
            turn.begin(site.workers[0])
            went += 1
    assert went == 1
    assert site.admission.outgrown == 0
    assert not any(site.admission.pinned(turn) for turn in many)


def test_a_turn_goes_where_there_is_room_and_home_while_others_wait() -> None:
    site = Site(2)
    for name in "abc":
        site.run(name, seconds=0.1)
    assert site.places(site.arrive("d")[0]) == ["w1"]
    at_home, _ = site.arrive("a")
    assert site.places(at_home) == ["w0", "w1"], "nobody waits: the policy may choose"
    for name in "efg":
        site.run(name, site.workers[1], seconds=0.1)
    waiting, _ = site.arrive("x")
    assert site.places(waiting) == []
    site.admission.wait(waiting)
    assert site.places(at_home) == ["w0"]
    site.admission.go(waiting)


def test_a_session_that_moves_leaves_its_old_place() -> None:
    site = Site(2)
    site.run("a")
    site.run("a", site.workers[1])
    assert (site.tokens(0), len(site.admission.sets[site.workers[1].holder].sessions)) == (0, 1)


def test_a_place_ends_with_its_lease() -> None:
    site = Site()
    for name in "abc":
        site.run(name)
    waiting, _ = site.arrive("d")
    assert site.places(waiting) == []
    site.now += 30.0  # longer than calls take, in the mean
    assert site.places(waiting) == ["w0"]
    assert site.admission.expired == 3


def test_after_an_answer_without_a_call_the_place_is_free_at_once() -> None:
    site = Site()
    for name in "abc":
        site.run(name, ending=False)
    site.now += 0.01
    assert site.places(site.arrive("d")[0]) == ["w0"]
    assert site.arrive("a")[0].session is not None, "it is still known"


def test_text_answers_after_which_a_session_returns_are_learned() -> None:
    site = Site()
    for _ in range(60):
        site.run("a", ending=False)
        site.now += 0.5
    assert site.admission.demand(MODEL).lease_s(Ending.ANSWER) >= 0.5


def test_the_one_inside_for_longest_makes_room_after_the_wait() -> None:
    site = Site()
    running = {name: site.arrive(name) for name in "abc"}
    for turn, prompt in running.values():
        turn.begin(site.workers[0])
        site.now += 10.0
        turn.left(prompt, True)
        turn.learn(True, 100, None)
    again, prompt = site.arrive("a")
    again.begin(site.workers[0])
    for name in "bc":
        site.arrive(name)[0].begin(site.workers[0])
    waiting, _ = site.arrive("d")
    site.admission.wait(waiting)
    site.admission.claim(waiting, site.workers)
    assert waiting.claim is None, "it has not waited for long"
    site.now += site.admission.claim_after_s(MODEL, site.workers)
    site.admission.claim(waiting, site.workers)
    assert again.session is not None
    assert again.session.leaving
    assert not site.admission.has_room(waiting, site.workers), "its turn still runs"
    other, _ = site.arrive("e")
    site.admission.wait(other)
    again.left(prompt, True)
    assert not again.inside
    assert site.admission.has_room(waiting, site.workers)
    assert not site.admission.has_room(other, site.workers), "the room is promised"
    waiting.begin(site.workers[0])
    assert waiting.inside
    assert site.admission.sets[site.workers[0].holder].claims == {}
    assert site.admission.rotated == 1


def test_whoever_is_idle_first_makes_room_instead_of_one_whose_turn_is_long() -> None:
    site = Site()
    turns = {name: site.arrive(name) for name in "abc"}
    for turn, prompt in turns.values():
        turn.begin(site.workers[0])
        site.now += 10.0
        turn.left(prompt, True)
        turn.learn(True, 100, None)
    again = {name: site.arrive(name) for name in "abc"}
    for turn, _ in again.values():
        turn.begin(site.workers[0])
    waiting, _ = site.arrive("d")
    site.admission.wait(waiting)
    site.now += BOUND_S
    site.admission.claim(waiting, site.workers)
    longest, second = again["a"][0].session, again["b"][0].session
    assert longest is not None and second is not None
    assert longest.leaving and not second.leaving
    again["b"][0].left(again["b"][1], True)
    assert second.place is not None, "it is not its turn yet"
    site.admission.claim(waiting, site.workers)
    assert second.place is None
    assert longest.place is not None and not longest.leaving
    assert site.admission.has_room(waiting, site.workers)
    assert site.admission.rotated == 1


def test_a_claim_on_a_worker_that_is_gone_is_made_anew() -> None:
    site = Site(2)
    for name in "abc":
        site.run(name, site.workers[0], seconds=0.2)
    for name in "def":
        site.run(name, site.workers[1], seconds=0.2)
    for place in site.admission.sets.values():
        for session in place.sessions:
            session.kept_until = 1e9
    waiting, _ = site.arrive("x")
    site.admission.wait(waiting)
    site.now += 10 * BOUND_S
    first, second = (site.admission.sets[worker.holder] for worker in site.workers)
    for session in first.sessions:
        session.running = 1
    site.admission.claim(waiting, site.workers)
    assert waiting.claim is first
    site.admission.claim(waiting, site.workers[1:])
    assert (waiting.claim, first.claims) == (second, {})
    assert site.admission.has_room(waiting, site.workers[1:])


def test_the_wait_is_the_bound_under_pressure_and_less_without() -> None:
    site = Site()
    for name in "abc":
        site.run(name)
    few, _ = site.arrive("d")
    site.admission.wait(few)
    assert site.admission.claim_after_s(MODEL, site.workers) == 4 * site.admission.round_s(MODEL, site.workers)
    more, _ = site.arrive("e")
    site.admission.wait(more)
    rounds = site.admission.claim_after_s(MODEL, site.workers) / site.admission.round_s(MODEL, site.workers)
    assert rounds == pytest.approx(4 * (2 / 3) / 0.5), "two wait for three that are under way"
    for number in range(20):
        site.admission.wait(site.arrive(f"x{number}")[0])
    round_s = site.admission.round_s(MODEL, site.workers)
    assert site.admission.claim_after_s(MODEL, site.workers) == 0.75 * BOUND_S + round_s
    assert BOUND_S < site.admission.claim_after_s(MODEL, site.workers) < BOUND_S + round_s
    assert site.admission.claim_after_s(MODEL, site.workers, streams=False) == 0.375 * BOUND_S + round_s


def test_new_sessions_are_too_many_when_a_round_of_loads_takes_longer_than_the_bound() -> None:
    site = Site(bound_s=10.0)
    site.run("known")
    for number in range(3):
        new, _ = site.arrive(f"x{number}")
        assert site.admission.too_many(new, site.workers) is (number == 3)
        site.admission.wait(new)
    late, _ = site.arrive("late")
    assert site.admission.too_many(late, site.workers)
    assert not site.admission.too_many(site.arrive("known")[0], site.workers), "a known session is never refused"


def test_a_session_larger_than_the_margin_goes_in_alone() -> None:
    site = Site()
    large = site.arrive("large", grow=68_000)[0]
    assert site.places(large) == ["w0"]
    site.run("small")
    assert site.places(large) == []


def test_room_is_made_for_a_large_session_and_not_given_to_small_ones() -> None:
    site = Site()
    for name in "abc":
        site.run(name, seconds=20.0)
    for session in site.admission.sets[site.workers[0].holder].sessions:
        session.kept_until = 1e9
    large, _ = site.arrive("large", grow=50_000)
    site.admission.wait(large)
    site.now += 10 * BOUND_S
    site.admission.claim(large, site.workers)
    assert site.admission.has_room(large, site.workers)
    assert site.places(site.arrive("small")[0]) == []
    large.begin(site.workers[0])
    assert site.tokens() >= 80_000


def test_sessions_that_outgrow_the_memory_make_room() -> None:
    site = Site()
    for name in "abc":
        site.run(name)
    turn, _ = site.arrive("c", grow=30_000)
    turn.begin(site.workers[0])
    assert not site.arrive("a")[0].inside
    assert site.arrive("b")[0].inside


def test_a_branch_of_an_idle_session_takes_its_place() -> None:
    site = Site()
    site.run("a")
    site.lengths["a"] += 500
    site.run("a")
    edited = prompt_of(("a", 30_000), ("edited", 700))
    turn = site.admission.arrive(MODEL, {"f": edited})
    assert turn is not None
    assert turn.session is None
    assert turn.parent is not None
    turn.begin(site.workers[0])
    assert turn.parent.place is None
    assert site.tokens() == pytest.approx(31_000, abs=300)


@pytest.mark.parametrize("turns", [0, 3])
def test_the_next_turn_may_come_before_the_end_of_the_last_one_was_noticed(turns: int) -> None:
    site = Site()
    for _ in range(turns):
        site.run("a", seconds=0.1)
    last, prompt = site.arrive("a", grow=500)
    last.begin(site.workers[0])
    last.answers(prompt)
    following, longer = site.arrive("a", grow=500)
    assert following.session is last.session is not None
    assert following.inside
    following.begin(site.workers[0])
    assert site.arrive("a", grow=500)[0].parent is last.session, "its answer has not begun: a branch"
    last.left(prompt, True)
    last.learn(True, 100, None)
    following.answers(longer)
    following.left(longer, True)
    assert (last.session.running, last.session.prompt_tokens) == (0, longer.tokens)
    assert site.tokens() == following.wanted.tokens


def test_a_failed_first_turn_leaves_nothing() -> None:
    site = Site(2)
    turn, prompt = site.arrive("a")
    for worker in site.workers:
        turn.begin(worker)
        turn.left(prompt, False)
    assert (site.tokens(0), site.tokens(1), len(site.admission.book)) == (0, 0, 0)


def test_a_restarted_worker_keeps_nothing() -> None:
    site = Site()
    site.run("a")
    site.fleet.on_restart(site.workers[0].id)
    assert not site.arrive("a")[0].inside
    assert site.admission.sets == {}
    turn, prompt = site.arrive("a")
    turn.begin(site.workers[0])
    site.fleet.on_restart(site.workers[0].id)
    turn.left(prompt, True)
    turn.learn(True, 5, 5)
    assert site.admission.sets == {}


def test_a_share_of_the_memory_is_given_while_the_others_are_not_heard() -> None:
    site = Site()
    site.run("a")
    site.admission.share = 0.5
    assert site.places(site.arrive("d")[0]) == []
    assert site.admission.room(site.workers[0]) == 47_500
    site.admission.share = 1.0
    assert site.places(site.arrive("d")[0]) == ["w0"]


def test_without_a_bound_all_may_go() -> None:
    off = SessionAdmission(0.0)
    assert off.arrive(MODEL, {"f": prompt_of(("a", 900))}) is None


def test_short_and_unreadable_prompts_are_nobody_s_turn() -> None:
    admission = SessionAdmission(BOUND_S)
    assert admission.arrive(MODEL, {}) is None
    assert admission.arrive(MODEL, {"f": prompt_of(("a", LEAST_TOKENS - 1))}) is None
    assert admission.arrive(MODEL, {"f": prompt_of(("a", LEAST_TOKENS))}) is not None
