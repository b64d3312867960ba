"""What admission adds to a request where there is room for all: counted in calls, which no busy machine changes."""

import sys
from typing import Any

from tests.router.sessions.admission.test_admission import Site
from tests.router.sessions.chains import prompt_of
from tokenizer_cache.prompt import Prompt

WORKERS = 8
MOST_CALLS = 168
"""About 14 microseconds on a core of 2.5 GHz, these tests' own calls included."""


class Calls:
    """Counts the calls of functions inside the block, those in C too."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> "Calls":
        sys.setprofile(self._see)
        return self

    def __exit__(self, *exc: object) -> None:
        sys.setprofile(None)

    def _see(self, frame: Any, event: str, arg: object) -> None:
        self.count += event in ("call", "c_call")


def one_turn(site: Site, prompt: Prompt, number: int) -> None:
    turn = site.admission.arrive("m", {"f": prompt})
    assert turn is not None
    assert len(site.places(turn)) == WORKERS
    site.admission.pinned(turn)
    turn.begin(site.workers[number])
    turn.left(prompt, True)
    turn.learn(True, 100, prompt.tokens - 200)


def test_a_known_session_s_turn_costs_few_calls() -> None:
    site = Site(WORKERS)
    for tokens in (20_000, 20_200):
        for number in range(WORKERS):
            one_turn(site, prompt_of((f"s{number}", tokens)), number)
    prompt = prompt_of(("s3", 20_400))
    with Calls() as calls:
        one_turn(site, prompt, 3)
    assert calls.count <= MOST_CALLS, calls.count
