"""Whether hits come at all where they were predicted: a worker whose hits never come is wrongly believed in.

Its cache may be off, its tokenizer or template another one than the router's, or its URL a balancer's.
"""

MIN_PREDICTED_TOKENS = 512
"""Smaller predictions may miss by an engine's block."""
JUDGED = 20
"""So many predictions are needed for a judgement."""
MEMORY = 0.95
"""Weight that older predictions keep at each new one: about twenty count."""
LITTLE = 0.1
"""Share of the predicted tokens below which nothing is believed to come."""


class HitRecord:
    """One worker's."""

    __slots__ = ("_cached", "_count", "_predicted")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Another engine is there, or its cache was lost."""
        self._count = 0
        self._predicted = self._cached = 0.0

    def reported(self, predicted_tokens: int, cached_tokens: int) -> None:
        """One request's prediction, and what the engine said."""
        if predicted_tokens >= MIN_PREDICTED_TOKENS:
            self._count = min(JUDGED, self._count + 1)
            self._predicted = self._predicted * MEMORY + predicted_tokens
            self._cached = self._cached * MEMORY + min(predicted_tokens, cached_tokens)

    @property
    def none_come(self) -> bool:
        """Hits were predicted and did not come."""
        return self._count >= JUDGED and self._cached < LITTLE * self._predicted
