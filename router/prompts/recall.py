"""Asks other routers for the chain of a conversation that is new here, so that its first turn here is routed by it
before it is encoded.

An *entry* stands for a place in a conversation: the blocks up to there, and their tokens. Entries hold only keyed
hashes and counts, and are signed. To keep them short, most hold only the blocks that follow another entry, their
*base*. What must not be broken: an entry that is missing, late or wrong costs an encode and nothing else. Each entry
that was used is compared with the encoded prompt, and after a difference no more entries are used for that encoder.
"""

import asyncio
import logging
import struct
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from router.observe.instruments import Counter
from router.prompts.encoding import EncodePool, Encoder
from router.shared.keys import Keys
from router.shared.link import Answer, Link
from router.shared.script import Command, command, read_script
from router.shared.seal import Seal
from tokenizer_cache.bodies.reader import LONG_BYTES
from tokenizer_cache.bodies.request import Request
from tokenizer_cache.conversations.chain import HASH_BYTES
from tokenizer_cache.conversations.conversation import LearnedBoundary
from tokenizer_cache.encoder import PromptEncoder
from tokenizer_cache.prompt import Prompt

DIGEST_BYTES: Final = 16
NO_BASE: Final = bytes(DIGEST_BYTES)
REBASE_BYTES: Final = 2048
"""An entry that would be longer than this, and longer than a quarter of its base, holds its whole chain instead."""
LEFT_TTL_S: Final = 120
"""An entry that a later turn replaced is kept for this many seconds: another request may continue from there."""
MAX_ENTRY_BYTES: Final = 1 << 20
"""Larger than any prompt's chain. Two such entries fit into a reply."""
QUEUED: Final = 1000
"""Boundaries that were learned and are not written yet."""
MAX_WRITTEN: Final = 10_000
"""Entries of which this router remembers how it wrote them."""
_VERSION: Final = 1
_HEAD: Final = struct.Struct(f">B{DIGEST_BYTES}sI")

FIND = read_script("router.prompts", "recall")

log = logging.getLogger("warmroute")


class RecallLimits(NamedTuple):
    """Bounds of the entries that are written."""

    ttl_s: int
    has_room: Callable[[], bool]
    """True when Redis has memory for more."""


class _WrittenEntry(NamedTuple):
    """How this router wrote an entry: behind the chain of `base`, which has `base_bytes` bytes."""

    base: bytes
    base_bytes: int
    own: bool
    """True when the base belongs to this conversation alone."""


class _Entry(NamedTuple):
    """An entry as it is read."""

    base: bytes
    tokens: int
    chain: bytes
    """The blocks that follow the base's chain."""


class Recall:
    """This router's part: it writes what its encoders learn, and asks for what they do not know."""

    def __init__(self, link: Link, keys: Keys, seal: Seal, limits: RecallLimits, recalled: Counter) -> None:
        self._link = link
        self._root = keys.conversations
        self._seal = seal
        self._limits = limits
        self._recalled = recalled
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[bytes, LearnedBoundary]] = deque(maxlen=QUEUED)
        self._written: OrderedDict[bytes, _WrittenEntry] = OrderedDict()
        self._wrong: set[bytes] = set()
        link.on_up.append(self._written.clear)

    def join(self, encoder: PromptEncoder, tag: bytes) -> None:
        """Write what this encoder learns. `tag` stands for everything that decides which chain a request gives."""
        encoder.tag = tag
        encoder.conversations.on_learned = partial(self._learned, tag)

    async def find(self, encoder: Encoder, request: Request, prompt: Prompt, pool: EncodePool) -> Prompt:
        """The prompt with what other routers know about it. Waits for at most one round trip, and never fails. Long
        prompts are hashed in `pool`'s reading thread."""
        if not isinstance(encoder, PromptEncoder) or encoder.tag in self._wrong or not self._link.responsive:
            return prompt
        places = encoder.unknown_places(request)
        if not places or not encoder.tag:
            return prompt
        digests = [self._digest(encoder.tag, key) for _, key in places]
        answer = await self._link.ask(FIND(self._root, MAX_ENTRY_BYTES, *digests))
        known = self._read(answer, digests)
        if known is None:
            self._recalled.add(1, ("missing",))
            return prompt
        which, chain, tokens = known
        self._recalled.add(1, ("found",))
        request.memo[self, encoder] = chain
        place = places[which][0]
        if encoder.tail_bytes(request) <= LONG_BYTES:
            return encoder.recalled(request, place, chain, tokens)
        return await pool.read(lambda: encoder.recalled(request, place, chain, tokens))

    def check(self, encoder: Encoder, request: Request, prompt: Prompt) -> None:
        """Compare the blocks that were recalled for the request, if any, with the encoded prompt's."""
        recalled = request.memo.pop((self, encoder), None)
        if not isinstance(recalled, bytes) or not isinstance(encoder, PromptEncoder):
            return
        if not prompt.exact or prompt.chain.startswith(recalled):
            return
        self._recalled.add(1, ("wrong",))
        self._wrong.add(encoder.tag)
        log.warning(
            "another router's chain of a conversation differs: other routers' chains are no longer used for this model"
        )

    def _digest(self, tag: bytes, key: bytes) -> bytes:
        return self._seal.name(tag + key, DIGEST_BYTES)

    def _read(self, answer: Answer, digests: list[bytes]) -> tuple[int, bytes, int] | None:
        """The known place, its chain and its tokens; None where the answer is nothing that a router wrote."""
        if not isinstance(answer, list) or not answer:
            return None
        which, entry, *more = [*answer, None]
        if isinstance(which, int) and 0 < which <= len(digests):
            found = self._entry(digests[which - 1], entry)
            whole = None
            if found is not None and found.base != NO_BASE:
                whole = self._entry(found.base, more[0])
                found = found._replace(chain=whole.chain + found.chain) if whole is not None else None
            if found is not None and found.chain and len(found.chain) % HASH_BYTES == 0:
                return which - 1, found.chain, found.tokens
        self._link.counters.refused.add(1, ("conversation",))
        return None

    def _entry(self, digest: bytes, raw: object) -> "_Entry | None":
        body = self._seal.read(digest, raw, MAX_ENTRY_BYTES)
        if body is None or len(body) < _HEAD.size:
            return None
        version, base, tokens = _HEAD.unpack_from(body)
        return _Entry(base, tokens, body[_HEAD.size :]) if version == _VERSION else None

    # Telling ------------------------------------------------------------------------------------------------------

    def _learned(self, tag: bytes, learned: LearnedBoundary) -> None:
        """Called when an encoder learned something, in any thread."""
        self._queue.append((tag, learned))
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        while self._queue:
            tag, learned = self._queue.popleft()
            if self._link.connected and self._limits.has_room():
                for each in self._commands(tag, learned):
                    self._link.tell(each)

    def _commands(self, tag: bytes, learned: LearnedBoundary) -> Iterator[Command]:
        """Commands that write the place, renew its base, and shorten the life of the entry that it replaces."""
        digest, chain = self._digest(tag, learned.key), learned.chain
        parent = self._digest(tag, learned.parent) if learned.parent else b""
        before = self._written.get(parent)
        written = before
        if written is None or len(chain) - written.base_bytes > max(REBASE_BYTES, written.base_bytes // 4):
            written = _WrittenEntry(digest, len(chain), bool(parent))
        base, rest = (NO_BASE, chain) if written.base == digest else (written.base, chain[written.base_bytes :])
        value = self._seal.write(digest, _HEAD.pack(_VERSION, base, learned.tokens) + rest)
        yield command("SET", self._root.encode() + digest, value, "EX", self._limits.ttl_s)
        if base != NO_BASE:
            self._renew(written)
        if before is not None and parent not in (digest, before.base):
            yield command("EXPIRE", self._root.encode() + parent, LEFT_TTL_S)
        if before is not None and before.own and before.base not in (written.base, digest):
            yield command("EXPIRE", self._root.encode() + before.base, LEFT_TTL_S)
        self._written[digest] = written
        self._written.move_to_end(digest)
        while len(self._written) > MAX_WRITTEN:
            self._written.popitem(last=False)

    def _renew(self, written: _WrittenEntry) -> None:
        """Renew a base: it must live as long as the entries that continue it. A base that is gone is written again with
        the next turn."""

        def renewed(done: "asyncio.Future[Answer]") -> None:
            if not done.cancelled() and done.result() == 0:
                for digest in [digest for digest, each in self._written.items() if each.base == written.base]:
                    del self._written[digest]

        self._link.tell(command("EXPIRE", self._root.encode() + written.base, self._limits.ttl_s)).add_done_callback(
            renewed
        )
