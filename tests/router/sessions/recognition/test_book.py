"""Whose turn a prompt is, by its chain alone."""

from msgspec.structs import replace

from router.sessions.memory.session import Session
from router.sessions.recognition.book import LEAVES, Found, SessionBook
from tests.router.sessions.chains import prompt_of

SYSTEM = ("system", 2000)


def noted(book: SessionBook, *parts: tuple[str, int], session: Session | None = None) -> Session:
    session = session or Session()
    book.note(session, prompt_of(*parts))
    return session


def test_a_turn_continues_what_it_extends() -> None:
    book = SessionBook()
    session = noted(book, SYSTEM, ("a", 300))
    assert book.find(prompt_of(SYSTEM, ("a", 300), ("b", 500))) == Found(session)
    assert book.find(prompt_of(SYSTEM, ("a", 300))) == Found(session), "the same turn again"


def test_a_shared_beginning_is_no_session() -> None:
    book = SessionBook()
    for number in range(1000):
        assert book.find(prompt_of(SYSTEM, (f"{number}", 100))) == Found()
        noted(book, SYSTEM, (f"{number}", 100))


def test_only_the_known_part_of_a_prompt_counts() -> None:
    book = SessionBook()
    session = noted(book, SYSTEM, ("a", 300))
    whole = prompt_of(SYSTEM, ("a", 300), ("b", 500))
    assert book.find(prompt_of(SYSTEM, ("a", 300), ("b", 500), known=len(whole.chain) // 8 - 8)) == Found(session)
    assert book.find(prompt_of(SYSTEM, ("a", 300), ("b", 500), known=20)) == Found()


def test_an_edit_and_a_branch_are_forks() -> None:
    book = SessionBook()
    session = noted(book, SYSTEM, ("a", 300))
    noted(book, SYSTEM, ("a", 300), ("b", 300), session=session)
    assert book.find(prompt_of(SYSTEM, ("a", 300), ("edited", 300))) == Found(parent=session)
    session.running = 1
    assert book.find(prompt_of(SYSTEM, ("a", 300), ("b", 300), ("c", 9))) == Found(parent=session), "it runs already"


def test_a_compacted_prompt_begins_a_new_session() -> None:
    book = SessionBook()
    noted(book, SYSTEM, ("a", 9000))
    assert book.find(prompt_of(SYSTEM, ("summary", 900))) == Found()


def test_old_leaves_are_forgotten() -> None:
    book = SessionBook()
    session, parts = Session(), [SYSTEM]
    for number in range(LEAVES + 1):
        parts = [*parts, (f"turn {number}", 200)]
        noted(book, *parts, session=session)
    assert book.find(prompt_of(*parts[:2], ("edited", 900))) == Found()
    assert book.find(prompt_of(*parts[:3], ("edited", 900))) == Found(parent=session)


def test_the_book_is_bounded_and_forgets_the_idle_one_of_longest_ago() -> None:
    book = SessionBook(3)
    first, running = noted(book, ("0", 200)), noted(book, ("1", 200))
    first.running = running.running = 1
    others = [noted(book, (f"{number}", 200)) for number in range(2, 5)]
    assert len(book) == 3
    assert book.find(prompt_of(("2", 200), ("more", 90))) == Found(), "the oldest that was idle"
    assert book.find(prompt_of(("4", 200), ("more", 90))) == Found(others[-1])
    assert book.find(prompt_of(("0", 200), ("more", 90))).parent is first
    book.forget(first)
    book.forget(first)
    assert len(book) == 2


def test_a_forgotten_session_may_come_back() -> None:
    book = SessionBook(1)
    session = noted(book, ("0", 200))
    noted(book, ("1", 200))
    book.note(session, prompt_of(("0", 200)))
    assert book.find(prompt_of(("0", 200), ("more", 90))) == Found(session)


def test_the_end_of_an_earlier_turn_that_is_noticed_late_changes_nothing() -> None:
    book = SessionBook()
    session = noted(book, SYSTEM, ("a", 300))
    noted(book, SYSTEM, ("a", 300), ("b", 300), session=session)
    noted(book, SYSTEM, ("a", 300), session=session)
    assert book.find(prompt_of(SYSTEM, ("a", 300), ("b", 300), ("c", 300))) == Found(session)


def test_an_estimate_of_its_length_does_not_move_a_prompt_s_leaf() -> None:
    book, session = SessionBook(), Session()
    turn = replace(prompt_of(SYSTEM, ("a", 300)), exact=False)
    book.note(session, turn)
    book.note(session, replace(turn, tokens=turn.tokens - 200))
    assert book.find(prompt_of(SYSTEM, ("a", 300), ("b", 300))) == Found(session)
