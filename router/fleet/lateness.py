"""How late a worker's first tokens are against what was expected of it, and how long its requests then stay.

An expectation counts the work that is known to be ahead. What it cannot know (a batch that is full, memory that does
not suffice, other clients, a slower engine than believed) shows in first tokens that are overdue. Engines begin
requests nearly in the order in which they come: a request that others have overtaken waits for its own reason (a
grammar that is compiled, a prompt in parts), and says nothing about new requests. The time that an idle worker always
takes longer than expected (a slow start, a rate that was never measured) is no queue: it is learned, and expected from
then on.
"""

from collections.abc import Callable, Hashable

STAY_S = 5.0
"""Assumed for a worker without measurements: the median answer of recorded agents takes 4.9 s."""
LEARN = 0.1
"""Weight of the last request in the running mean `usual_s`."""

PRIOR_STAYS = 5
"""Weight of `STAY_S` in `stay_s`, in requests."""
KEPT = 0.98
"""Weight that older stays keep in `stay_s` at each new one: long ones are rare."""


class Lateness:
    """When one worker's first tokens are due, and when they come. Times are seconds of `clock`; any hashable handle
    stands for a request."""

    __slots__ = ("_alone", "_answered", "_clock", "_due", "_squares", "_stays", "stay_s", "usual_s")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._answered: dict[Hashable, float] = {}
        self._due: dict[Hashable, float] = {}
        self._alone: Hashable = None
        """The last request that found the worker idle."""
        self.usual_s = 0.0
        """Mean seconds by which such requests took longer than expected, lately."""
        self._stays = STAY_S * PRIOR_STAYS
        self._squares = STAY_S * self._stays
        self.stay_s = STAY_S
        """Mean seconds for which a request keeps its memory, from the first token to the last byte, over the requests
        that a new one finds there. A longer request is likelier to be found, so a full pool is full of long ones (the
        inspection paradox: squares over sums). Read for every candidate."""

    def dispatched(self, request: Hashable, due: float) -> None:
        """Note that a request's first token is expected by `due`."""
        if not self._due and not self._answered:
            self._alone = request
        self._due[request] = due

    def answered(self, request: Hashable) -> None:
        """Note that its first token has come: it and the requests that it has overtaken no longer count as overdue.
        Safe to call again."""
        now = self._clock()
        self._answered.setdefault(request, now)
        waiting = self._due
        if request in waiting:
            if request is self._alone:
                self.usual_s += LEARN * (max(0.0, now - waiting[request]) - self.usual_s)
            while True:
                first = next(iter(waiting))
                del waiting[first]
                if first is request:
                    return

    def ended(self, request: Hashable) -> None:
        """Note that a request has ended, with or without a first token."""
        self._due.pop(request, None)
        answered_at = self._answered.pop(request, None)
        if answered_at is not None:
            stay_s = self._clock() - answered_at
            self._stays = self._stays * KEPT + stay_s
            self._squares = self._squares * KEPT + stay_s * stay_s
            self.stay_s = self._squares / self._stays

    def late_s(self, now: float) -> float:
        """Seconds by which the next first token is overdue; 0 when it is not, or none is awaited."""
        for due in self._due.values():
            return max(0.0, now - due - self.usual_s)
        return 0.0
