"""How much of a worker's KV memory the sessions inside it may need: learned from what those recompute that kept their
place.

The fall is a cliff: with a little more than fits, each session's memory is evicted just before it returns. A fixed
margin is either too thin for some engines, or costs a whole place where few sessions fit.
"""

FULL = 0.95
"""`share` at the start."""
LEAST, MOST = 0.5, 1.0
"""`share` stays within these."""
TURNS = 20
"""The share is judged once in this many turns of sessions that kept their place."""
TOO_MUCH = 0.10
"""If more than this share of what was kept for them was recomputed, less is let in."""
LITTLE = 0.03
"""If less than this share was recomputed and a session waits, more is let in."""
DOWN, UP = 0.9, 0.02
"""`share` is multiplied by the first where too much was recomputed, and raised by the second where little was."""


class Margin:
    """The margin of one worker."""

    __slots__ = ("_expected", "_missed", "_turns", "recomputed_share", "share")

    def __init__(self) -> None:
        self.share = FULL
        """Share of the KV memory that the sessions inside may need."""
        self.recomputed_share = 0.0
        """Share of the kept tokens that were recomputed, at the last judgement."""
        self._turns = 0
        self._expected = 0
        self._missed = 0

    def kept(self, expected_tokens: int, cached_tokens: int, waited_for: bool) -> None:
        """A session returned to its place, where `expected_tokens` should have been kept; the engine had
        `cached_tokens`. `waited_for`: a session waits for room."""
        self._turns += 1
        self._expected += expected_tokens
        self._missed += max(0, expected_tokens - cached_tokens)
        if self._turns < TURNS:
            return
        self.recomputed_share = self._missed / max(1, self._expected)
        if self.recomputed_share > TOO_MUCH:
            self.share = max(LEAST, self.share * DOWN)
        elif self.recomputed_share < LITTLE and waited_for:
            self.share = min(MOST, self.share + UP)
        self._turns = self._expected = self._missed = 0
