"""The share of the held tokens that takes memory of its own: requests that begin alike share blocks in the engine.

No engine reports which blocks are shared. But engines export how much of their KV memory is referenced, and the router
knows how many tokens it believes to be held: the first divided by the second, while nothing waits, is the share.
"""

MEMORY = 0.9
"""Weight that older looks keep at each new one: about ten looks count, which is ten to twenty seconds."""


class UniqueShare:
    """One worker's share. It is 1 until it is measured."""

    __slots__ = ("_held", "_used", "value")

    def __init__(self) -> None:
        self._held = 0.0
        self._used = 0.0
        self.value = 1.0
        """Above 0, at most 1. Read for every candidate."""

    def learn(self, held_tokens: int, used_tokens: float) -> None:
        """Learn from one look: `held_tokens` prompt tokens are in flight and computed, and the engine references
        `used_tokens`."""
        if held_tokens > 0 and used_tokens > 0:
            self._held = self._held * MEMORY + held_tokens
            self._used = self._used * MEMORY + used_tokens
            self.value = min(1.0, self._used / self._held)
