"""Whether any predicted hits come at one worker. Where none come, the router is wrong about the worker.

Its cache may be off, its tokenizer or template another one than the router's, or its URL a balancer's.
"""

from router.fleet.cache_loss import MIN_PREDICTED_TOKENS

JUDGED = 20
"""Predictions that are needed for a judgement."""
MEMORY = 0.95
"""Weight that older predictions keep at each new one: about twenty count."""
LITTLE = 0.1
"""Of less than this share of the predicted tokens it is said that none come."""


class HitRecord:
    """Predicted and found tokens of one worker's latest prompts."""

    __slots__ = ("_cached", "_count", "_predicted")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew: another engine is there, or its cache was lost."""
        self._count = 0
        self._predicted = self._cached = 0.0

    def reported(self, predicted_tokens: int, cached_tokens: int) -> None:
        """Take in one request's prediction, and what the engine said."""
        if predicted_tokens >= MIN_PREDICTED_TOKENS:
            self._count = min(JUDGED, self._count + 1)
            self._predicted = self._predicted * MEMORY + predicted_tokens
            self._cached = self._cached * MEMORY + min(predicted_tokens, cached_tokens)

    @property
    def none_come(self) -> bool:
        """Were hits predicted, again and again, and did none come?"""
        return self._count >= JUDGED and self._cached < LITTLE * self._predicted
