"""What no router can pass: a linear programme of flows, solved in closed form.

Every turn of the traces is played equally often, `v` turns a second in all. Of the pauses a share `x` each is kept: the
session's memory stays on its worker and need not be computed again. With T = 1 / v, the seconds per turn, and means
over turns:

    GPU time       W T >= E[new / R + answer (c kappa + d / k)] + E[(1 - x) L]
    KV memory      C T >= E[c stay] + E[x kept p] + E[(1 - x) kept L / 2]
    demand         N T >= E[p + stay] + E[(1 - x) L]

W workers with C KV tokens in all and prefill rate R; N users; a turn with c tokens of context, of which `kept` are the
session's earlier ones and `new` are not; its pause p before it; L = kept / R, the time to load what was not kept
(meanwhile half of it is held on average); d and kappa a decode step's time, and its time per KV token; k, how many
answers at most are written at once on a worker; stay = new / R + answer (d + c kappa), a turn's time on an idle worker.

Keeping a pause costs kept (p - L / 2) of memory, and saves L of the GPU's and of the user's time. Since L = kept / R,
the price of a second saved is R (p - L / 2): whatever the multipliers of the three constraints, the pauses kept are
those with the smallest p - L / 2, the last one in part. So one walk over the sorted pauses finds the least T.
It is a bound: work and memory flow without steps, queues or chance, and nobody has to guess how long a pause will be.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from loadtests.engine.profiles import Profile
from loadtests.laboratory.traces.script import BLOCK_TOKENS, Script


class Need(NamedTuple):
    """What one turn needs."""

    pause_s: float
    kept_tokens: int
    """That were of the session's last prompt: in memory if the pause was kept. 0 for a session's first turn."""
    new_tokens: int
    context_tokens: int
    answer_tokens: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """Equal workers, and who asks them."""

    workers: int
    users: int
    profile: Profile


def needs(scripts: Sequence[Script]) -> Iterator[Need]:
    """Of every turn. Blocks that all sessions share are taken to be in memory at all times."""
    for script in scripts:
        for number, turn in enumerate(script.turns):
            old = (turn.keep if number else script.shared_blocks) * BLOCK_TOKENS
            new = max(1, turn.prompt_tokens - old)
            yield Need(turn.think_s, old if number else 0, new, turn.prompt_tokens, turn.answer_tokens)


def turns_per_s(scripts: Sequence[Script], fleet: Fleet) -> float:
    """The most that this fleet could answer."""
    profile, workers = fleet.profile, fleet.workers
    pause, kept, new, context, answer = np.array(list(needs(scripts)), dtype=float).T
    load = kept / profile.prefill_rate
    at_once = max(1.0, min(fleet.users / workers, profile.kv_tokens / context.mean()))
    attended = answer * context * profile.kv_token_s
    prefill = new / profile.prefill_rate
    stay = prefill + answer * profile.decode_s + attended
    order = np.argsort(pause - load / 2)
    missed_s = load.sum() - _sums(load[order])
    gpu = (prefill + attended + answer * profile.decode_s / at_once).sum() + missed_s
    held = (context * stay + kept * load / 2).sum() + _sums((kept * (pause - load / 2))[order])
    demand = (pause + stay).sum() + missed_s
    limits = (gpu / workers, demand / fleet.users, held / (profile.kv_tokens * workers))
    return len(pause) / _least(np.maximum(limits[0], limits[1]), limits[2])


def _sums(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Of the first 0, 1, ... all values."""
    return np.concatenate(([0.0], np.cumsum(values)))


def _least(
    falling: "np.ndarray[tuple[int], np.dtype[np.float64]]", memory: "np.ndarray[tuple[int], np.dtype[np.float64]]"
) -> float:
    """The least of the larger one of two curves through points: at a point, or where they cross between two."""
    best = float(np.maximum(falling, memory).min())
    gap = memory - falling
    for left in np.flatnonzero(gap[:-1] * gap[1:] < 0):
        part = gap[left] / (gap[left] - gap[left + 1])
        best = min(best, float(memory[left] + part * (memory[left + 1] - memory[left])))
    return best
