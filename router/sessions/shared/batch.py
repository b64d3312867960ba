"""What routers tell each other of sessions, packed: states of sessions, who waits, and the room that is claimed.

A state says all of a session, so the next state makes good a lost one, and two in a row count as one. Only of anchors
it says what is new. A batch holds each name of a model or worker once, and its states refer to names by number. Times
are milliseconds before the batch was written. Every length and number has a bound, checked where it is decoded.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from router.prefix.index import HASH_BYTES
from router.sessions.memory.session import ID_BYTES, Ending
from router.sessions.recognition.hints import HASH_BYTES as ID_HASH_BYTES

VERSION: Final = 2
MAX_STATES: Final = 128
"""In one batch. Danger: with more, other routers' event loops stand still for milliseconds while they take it in."""
MAX_ANCHORS: Final = 16_384
"""Of one session: 16 million tokens."""
MAX_BATCH_BYTES: Final = 1 << 18
MAX_CLAIMS: Final = 256
MAX_MODELS: Final = 64
"""Models of which is told who waits."""
MAX_NAMES: Final = 2 * MAX_STATES + MAX_CLAIMS + MAX_MODELS
MAX_NAME: Final = 512
"""Characters of a name. What has a longer one is not told."""
MAX_TOKENS: Final = 1 << 34
MAX_COUNT: Final = 1 << 20
MAX_MS: Final = 1 << 34
"""200 days."""
OUTSIDE: Final = MAX_NAMES
"""In the place of the worker's number: its memory is not kept."""

Name = Annotated[str, Meta(max_length=MAX_NAME)]
Number = Annotated[int, Meta(ge=0, le=MAX_NAMES)]
Tokens = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Milliseconds = Annotated[int, Meta(ge=0, le=MAX_MS)]
SaidId = Annotated[bytes, Meta(max_length=ID_HASH_BYTES)]
"""The keyed hash of what a client calls a session; empty for none."""


class SessionState(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """One session's, as the router that writes it knows it."""

    id: Annotated[bytes, Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
    model: Number
    worker: Number
    """`OUTSIDE` for none."""
    running: Count
    """Its turns that run through this router."""
    flags: Annotated[int, Meta(ge=0, lt=len(Ending) * 16)]
    """`ANSWERING`, `LEAVING`, `RETURNED`, `BROKEN`, and its ending times `ENDING`."""
    turns: Count
    prompt_tokens: Tokens
    held_tokens: Tokens
    anchor_tokens: Tokens
    known_anchors: Annotated[int, Meta(ge=0, le=MAX_ANCHORS)]
    """Its first ones, which have been told before."""
    anchors: Annotated[bytes, Meta(max_length=MAX_ANCHORS * HASH_BYTES)]
    """Those behind them."""
    since_ms: Milliseconds
    ended_ms: Milliseconds
    keeps_ms: Milliseconds
    """For how much longer its memory is kept while it is idle."""
    leaf: Annotated[bytes, Meta(max_length=HASH_BYTES)]
    own_id: SaidId
    family_id: SaidId
    start: Annotated[bytes, Meta(max_length=HASH_BYTES)]
    """The first hash of its prompts, where it has an id."""


ANSWERING, LEAVING, RETURNED, BROKEN, ENDING = 1, 2, 4, 8, 16
"""Its answer has begun; it leaves at the end of its turn; no pause of it is going on; its last turn was known by its id
alone."""


class Waits(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """Turns of one model that wait for room in this router."""

    model: Number
    turns: Count
    tokens: Tokens


class Claim(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """Room that is made at a worker for a turn that has waited for long."""

    worker: Number
    tokens: Tokens


class Batch(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """What one router tells at once."""

    version: Annotated[int, Meta(ge=VERSION, le=VERSION)]
    asks: bool
    """It knows nothing of the others, and asks them to tell all."""
    names: Annotated[list[Name], Meta(max_length=MAX_NAMES)]
    waits: Annotated[list[Waits], Meta(max_length=MAX_MODELS)]
    claims: Annotated[list[Claim], Meta(max_length=MAX_CLAIMS)]
    states: Annotated[list[SessionState], Meta(max_length=MAX_STATES)]


class BadBatchError(ValueError):
    """Bytes that are no batch, or of another version."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Batch)


def pack(batch: Batch) -> bytes:
    """As it is written."""
    return _encoder.encode(batch)


def unpack(raw: bytes) -> Batch:
    """As it was written. Raises BadBatchError, for numbers of names that are not there too."""
    try:
        batch = _decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise BadBatchError from None
    names = len(batch.names)
    for state in batch.states:  # a loop, as other routers' states are read for every turn
        if state.model >= names or (state.worker >= names and state.worker != OUTSIDE):
            raise BadBatchError
        if len(state.anchors) % HASH_BYTES or len(state.leaf) not in (0, HASH_BYTES):
            raise BadBatchError
    if any(waits.model >= names for waits in batch.waits) or any(claim.worker >= names for claim in batch.claims):
        raise BadBatchError
    return batch


class NameNumbers:
    """Numbers of names, for one batch."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """The name's; a new one for a new name."""
        return self._numbers.setdefault(name, len(self._numbers))

    def all(self) -> list[str]:
        """In the order of their numbers."""
        return list(self._numbers)
