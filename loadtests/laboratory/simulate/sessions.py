"""Sessions in play: a script, a copy of its own of the script's blocks, and how far it has come."""

import hashlib
import itertools
import random
from collections.abc import Iterator, Sequence

import numpy as np

from loadtests.engine.job import Job
from loadtests.laboratory.traces.script import BLOCK_TOKENS, Script, Turn
from tokenizer_cache.prompt import Prompt

_MASK = (1 << 64) - 1


class Session:
    """One copy of a script. `salt` 0 leaves its hashes as they were recorded."""

    def __init__(self, name: bytes, script: Script, salt: int, first: int = 0) -> None:
        self.name = name
        self.script = script
        self._again = salt, first
        self.turn = first
        """Index of the turn that is next, or running."""
        self.due_s = script.starts_s or 0.0
        """When the present turn came, as recorded. Of a script that is played from its beginning."""
        self.user = 0
        """Whose it is, in a closed loop."""
        self._salt = np.uint64(salt & _MASK)
        self._ints: list[int] = []
        self._bytes = b""
        own = salt or int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")
        self._answers: Iterator[int] = itertools.count((own * 0x9E3779B97F4A7C15 + 1) & _MASK)
        """Hashes of what answers add: of no other session, since a hash is at one place of one chain."""
        for turn in _still_seen(script.turns[: first + 1]):
            self._read(turn)

    @classmethod
    def copy(cls, script: Script, rng: random.Random, first: int = 0) -> "Session":
        """A copy that shares nothing with others but the script's shared blocks."""
        salt = rng.getrandbits(64) | 1
        return cls(salt.to_bytes(8, "little"), script, salt, first)

    def again(self) -> "Session":
        """The same session from its beginning."""
        return Session(self.name, self.script, *self._again)

    @property
    def now(self) -> Turn:
        """The turn that is next, or running."""
        return self.script.turns[self.turn]

    @property
    def chain(self) -> list[int]:
        """The present prompt's hashes."""
        return self._ints

    @property
    def over(self) -> bool:
        return self.turn >= len(self.script.turns)

    def advance(self) -> None:
        """On to the next turn; afterwards the session may be over."""
        self.due_s += self.now.service_s
        self.turn += 1
        if not self.over:
            self.due_s += self.now.think_s
            self._read(self.now)

    def prompt(self) -> Prompt:
        """The present prompt, as the router sees it."""
        return Prompt(self._bytes, len(self._ints), self.now.prompt_tokens, BLOCK_TOKENS, exact=True, source="ids")

    def job(self) -> Job:
        """The present turn, as the engine sees it. No later prompt finds the answer's blocks: the next prompt holds the
        answer as its template renders it, for example without the reasoning, and the router does not credit it."""
        turn = self.now
        answer_blocks = (turn.prompt_tokens + turn.answer_tokens) // BLOCK_TOKENS - len(self._ints)
        made = [next(self._answers) & _MASK for _ in range(answer_blocks)]
        return Job(self._ints + made, turn.prompt_tokens, turn.answer_tokens)

    def _read(self, turn: Turn) -> None:
        new = turn.new
        if self._salt:
            own = max(0, self.script.shared_blocks - turn.keep)  # how many of the new blocks all sessions share
            new = np.concatenate((new[:own], new[own:] ^ self._salt)) if own else new ^ self._salt
        # New lists and bytes each time: a running job and the index still have the old ones.
        self._ints = self._ints[: turn.keep] + new.tolist()
        self._bytes = self._bytes[: turn.keep * 8] + new.tobytes()


def _still_seen(turns: Sequence[Turn]) -> list[Turn]:
    """The turns of which the last one's prompt has anything, with no more than that: to begin in the middle of a long
    session, not all that came before has to be built."""
    seen, end = [], turns[-1].blocks
    for turn in reversed(turns):
        if turn.keep < end:
            seen.append(turn._replace(new=turn.new[: end - turn.keep]))
            end = turn.keep
    return seen[::-1]
