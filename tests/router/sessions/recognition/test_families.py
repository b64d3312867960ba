"""Who is found with ids and without them, and what a family may do with its room."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from router.sessions.memory.footprint import footprint_of
from router.sessions.memory.session import AWAY_S, Session
from router.sessions.recognition.families import MAX_IDS, MAX_MEMBERS, Families
from router.sessions.recognition.hints import NO_HINT, Hint, HintReader
from router.sessions.recognition.turn import Turn
from tests.router.fleets import MODEL
from tests.router.sessions.admission.test_admission import Site
from tests.router.sessions.chains import prompt_of
from tokenizer_cache.bodies.request import parse

CLIENTS: dict[str, Any] = tomllib.loads((Path(__file__).parent / "clients.toml").read_text())
READER = HintReader(b"secret")
ITEMS = {"chat": "messages", "messages": "messages", "responses": "input"}


def hint_of(name: str, family: str = "", ends: bool = False) -> Hint:
    own = name.encode().ljust(16)
    return Hint(own, family.encode().ljust(16) if family else own, ends)


class Said(Site):
    """A site whose clients may name their sessions."""

    def come(self, hint: Hint, *parts: tuple[str, int]) -> Turn:
        turn = self.admission.arrive(MODEL, {"f": prompt_of(*parts)}, hint=hint)
        assert turn is not None
        return turn

    def whole(self, hint: Hint, *parts: tuple[str, int], calls: bool = True) -> Session:
        turn = self.come(hint, *parts)
        self.places(turn)
        turn.begin(self.workers[0])
        self.end(turn, calls)
        assert turn.session is not None
        return turn.session

    def end(self, turn: Turn, calls: bool = True) -> None:
        self.now += 1.0
        turn.left(turn.prompt, True)
        turn.learn(calls, 50, None)


def found(name: str, with_ids: bool) -> list[tuple[dict[str, Any], Session]]:
    client, site = CLIENTS[name], Said()
    site.give_memory(1_000_000)
    sessions = []
    for request in client["request"]:
        body = {"model": "m", ITEMS[client["api"]]: [{"role": "user", "content": "x"}], **request.get("body", {})}
        fields = parse(client["api"], json.dumps(body).encode()).fields
        headers = [(key.encode(), value.encode()) for key, value in request.get("headers", {}).items()]
        hint = READER.read("team", MODEL, headers, fields) if with_ids else NO_HINT
        sessions.append((request, site.whole(hint, *map(tuple, request["prompt"]))))
    return sessions


def same_parts(labels: list[str], sessions: list[Session]) -> bool:
    """Are they divided in the same way?"""
    pairs = {(label, id(session)) for label, session in zip(labels, sessions, strict=True)}
    return len(pairs) == len(set(labels)) == len({id(session) for session in sessions})


@pytest.mark.parametrize("name", CLIENTS)
def test_six_clients_sessions_are_found_with_ids_and_without(name: str) -> None:
    with_ids, without = found(name, True), found(name, False)
    assert same_parts([request["session"] for request, _ in with_ids], [session for _, session in with_ids])
    chains = [request.get("chain", request["session"]) for request, _ in without]
    assert same_parts(chains, [session for _, session in without])
    whole = [at for at, (request, _) in enumerate(with_ids) if "chain" not in request]
    assert same_parts([str(id(with_ids[at][1])) for at in whole], [without[at][1] for at in whole])


@pytest.mark.parametrize("name", CLIENTS)
def test_six_clients_families_are_those_that_their_ids_say(name: str) -> None:
    known = [(request["family"], session.family) for request, session in found(name, True) if "family" in request]
    assert all(family is not None for _, family in known)
    assert len({(label, id(family)) for label, family in known}) == len({label for label, _ in known})
    assert all(session.family is None for _, session in found(name, False))


@pytest.mark.parametrize("said", ["nothing", "its own", "one key for all", "one session for all"])
def test_no_two_of_a_thousand_shared_openings_are_one_session(said: str) -> None:
    site = Said()
    site.give_memory(10_000_000)
    own = {"nothing": b"", "its own": b"", "one key for all": b"", "one session for all": b"s" * 16}[said]
    seen = set()
    for number in range(1000):
        hint = Hint(own, own or b"k" * 16) if said.startswith("one") else NO_HINT
        hint = hint_of(f"s{number}") if said == "its own" else hint
        seen.add(site.whole(hint, ("system", 3000), (f"{number}", 300)))
    assert len(seen) == 1000


def test_an_id_that_two_chains_have_does_not_join_them() -> None:
    """One name for a whole fleet: at most one prompt is taken for another one's."""
    site, hint = Said(), hint_of("fleet")
    site.give_memory(10_000_000)
    opening, parts = ("system", 3000), {name: [(name, 300)] for name in "abc"}
    last: dict[str, Session] = {}
    wrong = 0
    for turn in range(6):
        for name, tail in parts.items():
            session = site.whole(hint, opening, *tail)
            wrong += any(session is other for whose, other in last.items() if whose != name)
            last[name] = session
            tail.append((f"{name}{turn}", 200))
    assert wrong <= 1
    assert len(set(last.values())) == 3


def test_branches_at_one_time_are_sessions_of_their_own() -> None:
    """As in GRPO: one prompt, and several answers to it at once, each of which goes on."""
    site, hint = Said(), hint_of("group")
    site.give_memory(10_000_000)
    first = [site.come(hint, ("task", 3000)) for _ in range(8)]
    for turn in first:
        turn.begin(site.workers[0])
    for turn in first:
        site.end(turn)
    assert len({turn.session for turn in first}) == 8
    forks = [site.come(hint, ("task", 3000), (f"{number}", 200)) for number in range(8)]
    for fork in forks:
        fork.begin(site.workers[0])
    assert len({fork.session for fork in forks}) == 8
    for fork in forks:
        site.end(fork)
    for number, fork in enumerate(forks):
        assert site.come(hint, ("task", 3000), (f"{number}", 200), ("more", 200)).session is fork.session


def test_a_compacted_session_needs_no_more_than_its_new_prompt() -> None:
    site, hint = Said(), hint_of("a")
    for parts in ([("a", 9_000)], [("a", 9_000), ("b", 30_000)]):
        session = site.whole(hint, *parts)
    assert session.held_tokens > 39_000
    compacted = site.come(hint, ("a", 9_000), ("summary", 2_000))
    assert (compacted.session, compacted.broken) == (session, True)
    assert compacted.wanted.anchors == footprint_of(prompt_of(("a", 9_000), ("summary", 2_000))).anchors
    compacted.begin(site.workers[0])
    site.end(compacted)
    assert 11_000 < site.tokens() < 11_500


def test_a_child_has_the_room_of_its_idle_parent_and_the_parent_that_of_the_child() -> None:
    site = Said()
    parents = [site.whole(hint_of(name), (name, 30_000)) for name in "abc"]
    stranger = site.come(hint_of("x"), ("x", 30_000))
    assert site.places(stranger) == []
    child = site.come(hint_of("child", "b"), ("child", 29_000))
    assert child.known
    assert (child.standing, stranger.standing) == ("branch", "new")
    assert site.places(child) == ["w0"]
    second = site.come(hint_of("second", "b"), ("second", 29_000))
    child.begin(site.workers[0])
    assert [parent.place is not None for parent in parents] == [True, False, True]
    assert site.places(second) == [], "one of a family runs in its room"
    site.end(child)
    assert site.places(second) == ["w0"]
    back = site.come(hint_of("b"), ("b", 30_000), ("result", 200))
    assert back.session is parents[1]
    assert site.places(back) == ["w0"], "no parent waits for a place that its child keeps"


def test_a_parent_keeps_its_memory_while_its_child_runs_and_for_a_lease_after_it() -> None:
    site = Said()
    parent = site.whole(hint_of("a"), ("a", 20_000))
    alone = site.whole(hint_of("b"), ("b", 20_000))
    child = site.come(hint_of("child", "a"), ("child", 20_000))
    child.begin(site.workers[0])
    site.now += AWAY_S - 10
    site.places(site.come(NO_HINT, ("x", 90_000)))
    assert (parent.place is not None, alone.place is not None) == (True, False)
    site.end(child)
    assert parent.kept_until > site.now
    site.now += AWAY_S - 10
    site.places(site.come(NO_HINT, ("x", 90_000)))
    assert parent.place is None


def test_a_parent_whose_child_runs_makes_room_after_its_next_turn() -> None:
    site = Said()
    parent = site.whole(hint_of("a"), ("a", 40_000))
    child = site.come(hint_of("child", "a"), ("child", 40_000))
    child.begin(site.workers[0])
    waiting = site.come(hint_of("x"), ("x", 50_000))
    site.admission.wait(waiting)
    site.now += AWAY_S - 10
    site.admission.claim(waiting, site.workers)
    assert parent.place is not None
    assert parent.leaving
    site.end(child)
    assert parent.place is None
    assert site.places(waiting) == ["w0"]


def test_no_parent_keeps_its_memory_for_longer_than_ten_minutes_whoever_runs() -> None:
    site = Said()
    parents = [site.whole(hint_of(name, "f"), (name, 20_000)) for name in "abcd"]
    runs = site.come(hint_of("child", "f"), ("child", 1_024))
    runs.begin(site.workers[0])
    waiting = site.come(hint_of("x"), ("x", 50_000))
    assert site.places(waiting) == []
    for number in range(4):  # children that follow each other closely, so that one always runs
        site.now += AWAY_S / 3
        follower = site.come(hint_of(f"child{number}", "f"), (f"child{number}", 1_024))
        follower.begin(site.workers[0])
        site.end(runs)
        runs = follower
    assert site.places(waiting) == ["w0"]
    assert [parent.place for parent in parents] == [None] * 4


def test_a_child_that_has_answered_is_not_kept_while_its_parent_works() -> None:
    site = Said()
    site.whole(hint_of("a"), ("a", 20_000))
    child = site.whole(hint_of("child", "a"), ("child", 20_000), calls=False)
    working = site.come(hint_of("a"), ("a", 20_000), ("more", 200))
    working.begin(site.workers[0])
    site.now += 1000.0
    site.places(site.come(NO_HINT, ("x", 90_000)))
    assert child.place is None


def test_a_session_that_is_named_late_is_of_its_family_from_then_on() -> None:
    site = Said()
    nameless = site.whole(NO_HINT, ("a", 2_000))
    assert site.whole(hint_of("a"), ("a", 2_000), ("more", 200)) is nameless
    assert nameless.family is not None
    assert site.come(hint_of("child", "a"), ("child", 2_000)).family is nameless.family


def test_who_says_that_it_ends_keeps_nothing() -> None:
    site = Said()
    for hint in (hint_of("a"), hint_of("b", "a")):
        site.whole(hint, (hint.own.decode(), 20_000))
    assert site.admission.arrive(MODEL, {"f": prompt_of(("bye", 20))}, hint=hint_of("b", "a", ends=True)) is None
    assert (len(site.admission.book), site.tokens()) == (1, 20_000 + 256)
    last = site.come(hint_of("a", ends=True), (hint_of("a").own.decode(), 20_000), ("more", 100))
    last.begin(site.workers[0])
    site.end(last)
    assert (len(site.admission.book), site.tokens(), len(site.admission.families)) == (0, 0, 0)


def test_nobody_ends_a_session_by_sending_its_prompt_under_another_name() -> None:
    site = Said()
    session = site.whole(hint_of("a"), ("a", 20_000))
    stranger = site.come(hint_of("x", ends=True), ("a", 20_000), ("more", 100))
    stranger.begin(site.workers[0])
    site.end(stranger)
    assert site.admission.book.knows(session)
    assert session.place is not None


def test_a_family_of_too_many_is_none_and_all_is_forgotten_with_its_members() -> None:
    families, members = Families(), [Session() for _ in range(MAX_MEMBERS + 1)]
    for number, member in enumerate(members):
        member.running = 1
        families.join(member, hint_of(f"c{number}", "f"), 0.0)
    assert families.of(hint_of("c0", "f")) is None
    assert members[-1].family is None
    for member in members:
        families.forget(member)
    assert len(families) == 0


def test_a_known_id_with_ever_new_ones_is_bounded() -> None:
    families, stays = Families(), Session()
    families.join(stays, hint_of("a"), 0.0)
    for number in range(10 * MAX_IDS):
        member = Session()
        families.join(member, hint_of("a", f"f{number}"), 0.0)
        families.forget(member)
    family = families.of(hint_of("a"))
    assert family is not None
    assert list(family.members) == [stays]
    assert len(families) == len(family.ids) == MAX_IDS


def test_members_that_were_away_for_long_do_not_count() -> None:
    families = Families()
    for number in range(10 * MAX_MEMBERS):
        member, hint = Session(), hint_of(f"c{number}", "f")
        member.ended_at = now = number * AWAY_S
        families.join(member, hint, now)
        family = families.of(hint)
        assert family is not None
        assert len(family.members) <= MAX_MEMBERS
        assert len(families) == len(family.ids) <= MAX_MEMBERS + 1
