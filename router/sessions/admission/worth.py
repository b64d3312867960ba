"""Is it worth while to let only as many sessions in as fit? A model of one worker in five lines.

All at once, no turn finds its memory: each takes its pause P, its stay S and a load L (its whole prompt, computed), and
the worker computes one load after another: `min(N / (P + S + L), 1 / L)` turns a second for N sessions. With places
for k of them, a share `late` of the turns comes after its lease and is loaded again; a place is taken for the kept part
of the pause, the stay and the late loads: `min(k / (kept + S + late L), 1 / (new + late L), N / (P + S + late L))`.
Where the first is not less than the second nothing is gained: pauses are near T*, or the worker has time to recompute.
"""

from typing import NamedTuple

GAIN = 1.15
"""Sessions wait when that gives this many times the turns. Danger: with 1, sessions wait where nothing is gained by it:
memory that is just too small still gives hits, which the model does not count."""
LOSS = 1.0
"""While they wait already, down to this."""


class WorkerDemand(NamedTuple):
    """What the sessions of one model ask of one worker, in the mean of their last turns. Times are seconds."""

    sessions: float
    """That are under way, per worker."""
    places: float
    """How many of them fit."""
    pause_s: float
    stay_s: float
    """In the engine, with their memory kept."""
    load_s: float
    """To compute a whole prompt."""
    new_s: float
    """To compute what a turn adds."""
    kept_s: float
    """For how long a lease keeps memory through a pause."""
    late: float
    """Share of the turns that come after it."""


def turns_all_at_once(d: WorkerDemand) -> float:
    """Turns a second when each goes to its engine at once and none finds its memory."""
    return min(d.sessions / (d.pause_s + d.stay_s + d.load_s), 1 / d.load_s)


def turns_with_places(d: WorkerDemand) -> float:
    """Turns a second when sessions that do not fit wait."""
    loads_s = d.late * d.load_s
    return min(
        d.places / (d.kept_s + d.stay_s + loads_s),
        1 / (d.new_s + loads_s),
        d.sessions / (d.pause_s + d.stay_s + loads_s),
    )


def worth_waiting(d: WorkerDemand, waiting_now: bool) -> bool:
    """Should sessions that do not fit wait? `waiting_now`: they do at present."""
    return turns_with_places(d) >= (LOSS if waiting_now else GAIN) * turns_all_at_once(d)
