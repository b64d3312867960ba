"""Sessions as a loop plays them: the stretch of each whose contexts are within a range, answers and pauses cut."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from statistics import median

from loadtests.laboratory.traces.script import Script, Turn, chains

LEAST_PAUSE_S = 0.1
"""No tool returns sooner."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of what is played."""

    min_tokens: int = 30_000
    max_tokens: int = 150_000
    """Of a prompt with its answer."""
    min_turns: int = 8
    """Sessions with fewer in that range are left out."""
    max_answer_tokens: int = 1_500
    pause_p50_s: float | None = 1.0
    """All pauses are scaled so that half are below this, before they are cut; None: as recorded."""
    max_pause_s: float = 3.0


def limited(scripts: Sequence[Script], limits: Limits) -> list[Script]:
    """The stretch of each script that is within the limits. Raises ValueError if none has enough turns."""
    stretches = [_stretch(script, limits) for script in scripts]
    found = [script for script in stretches if len(script.turns) >= limits.min_turns]
    if not found:
        raise ValueError("no session of the traces has enough turns with contexts in the range")
    scale = 1.0
    if limits.pause_p50_s is not None:
        recorded = median(turn.think_s for script in found for turn in script.turns[1:])
        scale = limits.pause_p50_s / max(LEAST_PAUSE_S, recorded)
    return [dataclasses.replace(script, turns=_paced(script.turns, scale, limits)) for script in found]


def mean_context(scripts: Sequence[Script]) -> float:
    """Tokens of a prompt, over all turns."""
    return sum(script.prompt_tokens for script in scripts) / sum(len(script.turns) for script in scripts)


def _stretch(script: Script, limits: Limits) -> Script:
    """From the first prompt in the range to the last one before any is out of it."""
    first = next((number for number, turn in enumerate(script.turns) if _inside(turn, limits)), len(script.turns))
    rest = list(takewhile(lambda turn: _inside(turn, limits), script.turns[first:]))
    if rest:
        chain = next(islice(chains(script), first, None))
        rest[0] = rest[0]._replace(keep=0, new=chain, think_s=0.0)
    return dataclasses.replace(script, turns=rest)


def _inside(turn: Turn, limits: Limits) -> bool:
    answer_tokens = min(turn.answer_tokens, limits.max_answer_tokens)
    return limits.min_tokens <= turn.prompt_tokens and turn.prompt_tokens + answer_tokens <= limits.max_tokens


def _paced(turns: Sequence[Turn], scale: float, limits: Limits) -> list[Turn]:
    return [
        turn._replace(
            answer_tokens=min(turn.answer_tokens, limits.max_answer_tokens),
            think_s=min(max(LEAST_PAUSE_S, turn.think_s * scale), limits.max_pause_s) if number else 0.0,
        )
        for number, turn in enumerate(turns)
    ]
