"""What sessions need together, against a count of every block."""

import random

import pytest

from router.sessions.memory.footprint import ANCHOR_TOKENS, footprint_of
from router.sessions.memory.session import Session
from router.sessions.memory.working_set import WorkingSet
from tests.router.sessions.chains import prompt_of
from tokenizer_cache.prompt import Prompt


def held(place: WorkingSet, *prompts: Prompt) -> list[Session]:
    sessions = []
    for prompt in prompts:
        session = Session()
        place.enter(session, 0.0)
        place.hold(session, footprint_of(prompt))
        sessions.append(session)
    return sessions


def test_a_shared_beginning_counts_once() -> None:
    place = WorkingSet()
    system = ("system", 8 * ANCHOR_TOKENS)
    one, two = held(place, prompt_of(system, ("a", 2000)), prompt_of(system, ("b", 3000)))
    assert place.tokens == 8 * ANCHOR_TOKENS + 2000 + 3000
    assert place.needs(footprint_of(prompt_of(system, ("c", 500)))) == 500
    assert place.needs(footprint_of(prompt_of(("other", 500), system))) == 500 + 8 * ANCHOR_TOKENS
    place.leave(one)
    assert place.tokens == 8 * ANCHOR_TOKENS + 3000
    place.leave(two)
    assert place.tokens == 0
    assert (one.place, one.held_tokens) == (None, 0)


def test_a_session_that_grows_or_is_cut_is_counted_anew() -> None:
    place = WorkingSet()
    (session,) = held(place, prompt_of(("a", 5000)))
    for length in (9000, 9100, 2000):
        place.hold(session, footprint_of(prompt_of(("a", length))))
        assert place.tokens == length


def test_ended_leases_are_found_and_only_of_idle_sessions() -> None:
    place = WorkingSet()
    running, idle, later = held(place, *(prompt_of((name, 100)) for name in "abc"))
    running.running = 1
    for session, until in ((running, 1.0), (idle, 2.0), (later, 9.0)):
        session.kept_until = until
        place.idle_until(until)
    assert place.ended_leases(0.5) == []
    assert place.ended_leases(1.5) == []
    assert place.ended_leases(2.0) == [idle]
    place.leave(idle)
    assert place.ended_leases(8.0) == []
    assert place.ended_leases(9.0) == [later]


def test_claims_are_served_in_their_order() -> None:
    place = WorkingSet()
    place.claims.update({"first": 100, "second": 50})
    assert [place.promised_before(turn) for turn in ("first", "second", "none")] == [0, 100, 150]


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_number_of_different_blocks(seed: int) -> None:
    """To within what follows the last shared anchor."""
    rng = random.Random(seed)
    place = WorkingSet()
    inside: dict[Session, Prompt] = {}
    for _ in range(60):
        if inside and rng.random() < 0.4:
            session = rng.choice(list(inside))
            place.leave(session)
            del inside[session]
        else:
            lengths = [
                (f"{depth}{rng.randrange(2)}", rng.randrange(1, 3) * 700) for depth in range(rng.randrange(1, 4))
            ]
            prompt = prompt_of(*lengths)
            (session,) = held(place, prompt)
            inside[session] = prompt
        blocks = {p.chain[at : at + 8] for p in inside.values() for at in range(0, len(p.chain), 8)}
        exact = len(blocks) * 64
        assert exact <= place.tokens + 64 * len(inside)
        assert place.tokens <= exact + (ANCHOR_TOKENS + 64) * len(inside)
