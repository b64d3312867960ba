"""Which conversation a prompt goes on: one whose last answer had ended, and with whose last prompt it begins, but for
the last blocks of that.

Clients need not name sessions for that. What must not be broken: memory is bounded, whatever the prompts are.
"""

from collections import OrderedDict
from dataclasses import dataclass

from router.prefix.index import HASH_BYTES
from router.trace_file.lines import common_blocks

ENDS = 3
"""A conversation is found by each of its last prompt's last blocks, this many: templates may write the end of a prompt
anew in the next one."""
MAX_CONVERSATIONS = 20_000
MAX_CHAIN_BYTES = 32 << 20
"""All last prompts' chains together. Beyond either bound the one that is idle for longest is forgotten; its next prompt
begins a new one."""


@dataclass(slots=True)
class TracedConversation:
    """One, as its last prompt left it."""

    number: int
    chain: bytes = b""
    ended: float = 0.0

    @property
    def ends(self) -> list[bytes]:
        """The hashes by which its next prompt is found: none of the first half, which others may begin with too."""
        known = hashes(self.chain)
        return known[-min(ENDS, (len(known) + 1) // 2) :] if known else []


def hashes(chain: bytes) -> list[bytes]:
    """A chain's hashes, one by one."""
    return [chain[at : at + HASH_BYTES] for at in range(0, len(chain), HASH_BYTES)]


class TracedConversations:
    """Those that are remembered, the one that is idle for longest first."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, TracedConversation] = OrderedDict()
        self._by_end: dict[bytes, TracedConversation] = {}
        self._bytes = 0
        self._numbers = 0

    def next(self, chain: bytes, arrived: float, ended: float) -> tuple[int, int]:
        """The number of the conversation that this prompt goes on, and the number of blocks that it has in common with
        the prompt before it. `arrived`, `ended`: seconds of one clock."""
        found = self._found(chain, arrived)
        if found is None:
            self._numbers += 1
            found = TracedConversation(self._numbers)
        else:
            self._forget(found)
        keep = common_blocks(found.chain, chain)
        found.chain, found.ended = chain, ended
        self._remember(found)
        return found.number, keep

    def _found(self, chain: bytes, arrived: float) -> TracedConversation | None:
        for end in reversed(hashes(chain)):
            known = self._by_end.get(end)
            if known is not None and known.ended <= arrived and len(known.chain) < len(chain):
                return known
        return None

    def _remember(self, conversation: TracedConversation) -> None:
        self._known[conversation.number] = conversation
        self._bytes += len(conversation.chain)
        for end in conversation.ends:
            self._by_end[end] = conversation
        while len(self._known) > MAX_CONVERSATIONS or (self._bytes > MAX_CHAIN_BYTES and len(self._known) > 1):
            self._forget(next(iter(self._known.values())))

    def _forget(self, conversation: TracedConversation) -> None:
        del self._known[conversation.number]
        self._bytes -= len(conversation.chain)
        for end in conversation.ends:
            if self._by_end.get(end) is conversation:
                del self._by_end[end]
