"""How urgent a request is among its client's own: a level from -3, the first, to 3. Each has half the share of the one
before.

Between clients the weights of their keys count, and nothing that a request says. What is no level is dropped.
"""

import re
from typing import Final

from tokenizer_cache.bodies.fields import Raw, given

USUAL: Final = 0
NAMED: Final = {b"interactive": USUAL, b"batch": 3}
MOST: Final = 3
_NUMBER: Final = re.compile(rb"-?[0-9]{1,9}")


def level_of(header: bytes, field: Raw) -> int:
    """What the header says, else the body's `priority`, which vLLM has too: in both a lower number goes first."""
    said = header.strip().lower()
    if said in NAMED:
        return NAMED[said]
    number = _NUMBER.fullmatch(said) or _NUMBER.fullmatch(given(field))
    return max(-MOST, min(MOST, int(number[0]))) if number is not None else USUAL


def share_of(level: int) -> float:
    """Of what its client gets, against the other levels' shares."""
    return 2.0**-level
