"""Turns that begin, wait and end at random: nothing is lost, whatever happens."""

import random

import pytest

from router.sessions.recognition.turn import Turn
from tests.router.fleets import MODEL
from tests.router.sessions.admission.test_admission import Site
from tokenizer_cache.prompt import Prompt


class Crowd:
    """Turns that begin, wait and end at random."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.site = Site(2)
        self.open: list[tuple[Turn, Prompt, bool]] = []

    def step(self) -> None:
        self.site.now += self.rng.random() * 3
        if self.open and self.rng.random() < 0.5:
            turn, prompt, running = self.open.pop(self.rng.randrange(len(self.open)))
            if running:
                self.end(turn, prompt)
            else:
                self.wait_on(turn, prompt)
        elif len(self.open) < 12:
            self.wait_on(*self.site.arrive(f"s{self.rng.randrange(9)}", self.rng.randrange(900)))

    def end(self, turn: Turn, prompt: Prompt) -> None:
        turn.left(prompt, self.rng.random() < 0.9)
        turn.learn(self.rng.random() < 0.5, self.rng.randrange(300), self.rng.randrange(prompt.tokens))

    def wait_on(self, turn: Turn, prompt: Prompt) -> None:
        admission = self.site.admission
        admission.claim(turn, self.site.workers)
        places = admission.workers_for(turn, self.site.workers)
        if places:
            turn.begin(self.rng.choice(places))
            self.open.append((turn, prompt, True))
        elif self.rng.random() < 0.2:
            admission.go(turn)
        else:
            admission.wait(turn)
            self.open.append((turn, prompt, False))


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_lost_over_many_turns(seed: int) -> None:
    """Whatever happens, what is counted inside is what sessions hold, and all of it is given back."""
    crowd = Crowd(seed)
    site = crowd.site
    for _ in range(400):
        crowd.step()
        assert all(place.tokens >= 0 for place in site.admission.sets.values())
    for turn, prompt, running in crowd.open:
        if running:
            turn.left(prompt, True)
        site.admission.go(turn)
    places = list(site.admission.sets.values())
    for worker in site.workers:
        site.admission.forget(worker.holder)
    assert site.admission.demand(MODEL).waiting == {}
    assert [(place.tokens, place.claims) for place in places] == [(0, {})] * len(places)
    for session in site.admission.book._sessions:
        assert (session.place, session.running, session.held_tokens) == (None, 0, 0)
