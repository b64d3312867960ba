"""What sessions that are remembered take of the router's memory: `docs/sessions.md` states it."""

import gc
import os
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from router.prefix.index import HASH_BYTES
from router.sessions.recognition.book import MAX_SESSIONS
from tests.router.sessions.admission.test_admission import Site
from tests.router.sessions.chains import BLOCK
from tokenizer_cache.prompt import Prompt

TURNS = 6
SHORT, LONG = 3_000, 38_000
OUTSIDE_BYTES = 1000
"""Of one session, the dictionaries that hold it included."""
INSIDE_BYTES_PER_1000_TOKENS = 120
"""Beyond that, of one whose memory is kept."""


@contextmanager
def measured() -> Iterator[list[int]]:
    """Bytes that were allocated inside the block and are still held."""
    found: list[int] = []
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield found
        gc.collect()
        found.append(tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()


def live(site: Site, tokens: int, calls: bool) -> None:
    """A whole session of turns that grow, and share nothing with others."""
    chain = os.urandom((tokens // BLOCK + TURNS * 5) * HASH_BYTES)
    for turn_number in range(TURNS):
        blocks = tokens // BLOCK + 5 * turn_number
        prompt = Prompt(chain[: blocks * HASH_BYTES], blocks, blocks * BLOCK, BLOCK, True, "ids")
        turn = site.admission.arrive("m", {"f": prompt})
        assert turn is not None
        site.places(turn)
        turn.begin(site.workers[0])
        turn.left(prompt, True)
        turn.learn(calls, 100, 0)


@pytest.mark.slow
def test_sessions_outside_take_as_much_as_is_stated() -> None:
    site, sessions = Site(), 2000
    with measured() as found:
        for _ in range(sessions):
            live(site, SHORT, calls=False)
            site.now += 700.0  # none of the others is under way
    assert len(site.admission.book) == sessions
    assert len(site.admission.sets[site.workers[0].holder].sessions) == 1
    assert found[0] / sessions < OUTSIDE_BYTES
    assert OUTSIDE_BYTES * MAX_SESSIONS <= 100_000_000


@pytest.mark.slow
def test_sessions_inside_take_more_by_what_they_hold() -> None:
    site, sessions = Site(), 500
    site.give_memory(sessions * 2 * LONG)
    with measured() as found:
        for _ in range(sessions):
            live(site, LONG, calls=True)
    assert len(site.admission.sets[site.workers[0].holder].sessions) == sessions
    assert found[0] / sessions < OUTSIDE_BYTES + INSIDE_BYTES_PER_1000_TOKENS * LONG / 1000
