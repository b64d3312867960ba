"""Traffic as claims describe it: single prompts with common prefixes, and agent sessions of given growth."""

import math
import random
from dataclasses import dataclass

import numpy as np

from loadtests.engine.chains import Words
from loadtests.laboratory.traces.script import BLOCK_TOKENS, Script, Turn, linked, numbers

TOKENS_PER_S = 30.0
"""Of answers: only to estimate how long a session lasts."""


def prompt(prefix: str, prefix_tokens: int, name: str, tokens: int, answer: int) -> Script:
    """One request that begins with a common prefix ("" and 0 for none) and goes on alone."""
    shared = prefix_tokens // BLOCK_TOKENS
    words = np.concatenate((numbers(range(shared), prefix), numbers(range(tokens // BLOCK_TOKENS - shared), name)))
    turn = Turn(0, linked(words, 0), tokens, answer, 0.0, answer / TOKENS_PER_S)
    return Script(f"{prefix}/{name}" if prefix else name, [turn], shared)


@dataclass(frozen=True, slots=True)
class Agent:
    """How agent sessions grow. Spreads are sigmas of lognormal distributions around the medians; 0 for always."""

    system_tokens: int
    """Common to all sessions."""
    first_tokens: int
    """Of the first prompt, the system prompt included."""
    new_tokens: tuple[float, float]
    """Median and spread of what a turn adds."""
    answer: tuple[float, float]
    turns: tuple[float, float]
    most_tokens: int
    """A session ends before a prompt would be longer."""
    pause_s: tuple[float, float] = (0.0, 0.0)
    decode_elsewhere_s: float = 0.0
    """If not 0, the workers only prefill: a token of the answer takes this long elsewhere, before the next turn."""

    def sessions(self, count: int, seed: int) -> list[Script]:
        """Different ones."""
        rng = random.Random(seed)
        return [self._session(f"agent {number}", rng) for number in range(count)]

    def _session(self, name: str, rng: random.Random) -> Script:
        turns: list[Turn] = []
        shared = self.system_tokens // BLOCK_TOKENS
        tokens, before, pause_s = self.first_tokens, 0, 0.0
        for _ in range(max(1, round(_drawn(self.turns, rng)))):
            if tokens > self.most_tokens:
                break
            chain, answer = _chain(name, tokens, shared), max(1, round(_drawn(self.answer, rng)))
            elsewhere = bool(self.decode_elsewhere_s)
            took_s = answer / TOKENS_PER_S
            turns.append(Turn(before, chain[before:], tokens, 1 if elsewhere else answer, pause_s, took_s))
            pause_s = _drawn(self.pause_s, rng) + answer * self.decode_elsewhere_s
            before, tokens = len(chain), tokens + max(1, round(_drawn(self.new_tokens, rng)))
        return Script(name, turns, shared)


def spread(median: float, at: float, quantile_sigmas: float) -> float:
    """Sigma of the lognormal whose quantile, given in standard deviations, is `at`: 1.2816 for P90, 2.3263 for P99."""
    return math.log(at / median) / quantile_sigmas


def spread_of_mean(median: float, mean: float) -> float:
    """Sigma of the lognormal with this median and mean."""
    return math.sqrt(2 * math.log(mean / median))


def _drawn(law: tuple[float, float], rng: random.Random) -> float:
    median, sigma = law
    return rng.lognormvariate(math.log(median), sigma) if sigma else median


def _chain(name: str, tokens: int, shared: int) -> Words:
    own = max(0, tokens // BLOCK_TOKENS - shared)
    return linked(np.concatenate((numbers(range(shared), "system"), numbers(range(own), name))), 0)
