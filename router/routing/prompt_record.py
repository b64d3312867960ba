"""Records one prompt at one worker in the index: pending at dispatch, confirmed at the first byte, dropped on failure.

The exact chain usually arrives after dispatch; until then an estimate stands for the unseen tail. Whatever the order
of events (tokens, first byte, failure, end), each PENDING is taken back exactly once and only computed blocks are
confirmed.
"""

from enum import Enum

from router.prefix.index import HASH_BYTES, PrefixIndex, Record, State
from tokenizer_cache.prompt import Prompt


class Phase(Enum):
    """Where the request is."""

    WAITING = "waiting"
    COMPUTED = "computed"
    FAILED = "failed"


class PromptRecord:
    """Writes the records of one attempt. Methods may come in any order and more than once."""

    __slots__ = ("_exact", "_holder", "_index", "_pended", "_phase", "_recorded", "predicted_tokens", "prompt")

    def __init__(self, index: PrefixIndex, holder: str, prompt: Prompt, predicted_tokens: int) -> None:
        self._index = index
        self._holder = holder
        self._phase = Phase.WAITING
        self._pended = b""
        self._recorded = b""
        self._exact = prompt.exact or prompt.source == "text"
        self.prompt = prompt
        self.predicted_tokens = predicted_tokens

    @property
    def settled(self) -> bool:
        """True when the exact chain is known: nothing more must be encoded."""
        return self._exact

    def dispatched(self) -> None:
        """The request was sent to the worker. Does nothing if the record is no longer waiting."""
        if self.prompt.chain and self._phase is Phase.WAITING:
            self._pended = self.prompt.chain
            self._index.record(Record(self._holder, self._pended, State.PENDING))

    def encoded(self, prompt: Prompt) -> None:
        """The exact chain is known."""
        self.prompt = prompt
        self._exact = True
        if self._phase is Phase.COMPUTED:
            self._confirm()
        elif self._phase is Phase.WAITING and self._pended != prompt.chain:
            if self._pended:
                self._index.record(Record(self._holder, self._pended, State.DROPPED))
            self._pended = b""
            self.dispatched()

    def unknown(self) -> None:
        """The exact chain will not be known: the estimate's records are taken back, and no block will be confirmed."""
        if self._pended:
            self._index.record(Record(self._holder, self._pended, State.DROPPED))
            self._pended = b""

    def computed(self) -> None:
        """The first byte came (or, for an answer in one piece, prefill must be done by now)."""
        if self._phase is not Phase.WAITING:
            return
        self._phase = Phase.COMPUTED
        if self._exact:
            self._confirm()

    def failed(self) -> None:
        """The attempt ended before its first byte, or was refused: no block can be assumed to be computed."""
        if self._phase is Phase.FAILED:
            return
        was_computed = self._phase is Phase.COMPUTED
        self._phase = Phase.FAILED
        if self._pended:
            self._index.record(Record(self._holder, self._pended, State.DROPPED))
            self._pended = b""
        if was_computed and self._recorded:
            self._correct(self.predicted_tokens)

    def finished(self, completion_tokens: int | None) -> None:
        """The last byte came. The output takes room in the KV pool as well. An over-predicted part needs no
        correction here: the engine has just computed it, and holds it now (what it says of the rest, `Fleet.reported`
        judges)."""
        if self._phase is not Phase.COMPUTED or not self._recorded:
            return
        block = self.prompt.block_tokens
        if completion_tokens and completion_tokens >= block:
            generated = completion_tokens // block
            self._index.record(Record(self._holder, self._recorded, State.CONFIRMED, generated_blocks=generated))

    def _confirm(self) -> None:
        self._recorded = self.prompt.chain
        if self._recorded:
            self._index.record(Record(self._holder, self._recorded, State.CONFIRMED, pended=self._pended))
        elif self._pended:
            self._index.record(Record(self._holder, self._pended, State.DROPPED))
        self._pended = b""

    def _correct(self, tokens: int) -> None:
        kept = tokens // self.prompt.block_tokens * HASH_BYTES
        self._index.record(Record(self._holder, self._recorded[:kept], State.CORRECTED, tail=self._recorded))
