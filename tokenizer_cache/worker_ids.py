"""Prompts whose ids only the worker knows: its chat template is code, or its tokenizer cannot be loaded here.

The ids of one turn give the blocks of the next, but for the last few, which held the generation prompt. What several
conversations share (tools, system messages) is learned by comparing their ids. Nothing here sends a request: the router
asks the worker after dispatch and brings the ids. Until then a prompt is an estimate; where no worker can be asked it
is text.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tokenizer_cache.bodies.fields import holds_media
from tokenizer_cache.bodies.identity import context_key, scope_key
from tokenizer_cache.bodies.items import StartKeys
from tokenizer_cache.bodies.request import Request
from tokenizer_cache.conversations.chain import HASH_BYTES, ID_BYTES, Chain, pack
from tokenizer_cache.conversations.conversation import Boundary, Conversations, Spine
from tokenizer_cache.prompt import Prompt
from tokenizer_cache.text import CHUNK_BYTES_PER_TOKEN, Realm, TextEncoder, prompt_head

OVERHANG_TOKENS: Final = 32
"""Ids at a prompt's end that the next turn may not begin with: generation prompts are shorter."""
_HEADS: Final = 3
"""At most this many of a conversation's first items are taken for shared with others."""
_MAX_HEADS: Final = 1024
_HEAD_BLOCKS: Final = 512


class _Seen(NamedTuple):
    keys: StartKeys


class _Head(NamedTuple):
    chain: bytes
    next_key: bytes
    """Key of the first items and the one after them. A prompt with the same key may belong to the same conversation."""


class WorkerIdsEncoder:
    """Prompts of one format, from ids that its workers give. `may_ask` says whether a worker can give those of a
    request."""

    def __init__(self, text: TextEncoder, secret: bytes, may_ask: Callable[[Request], bool]) -> None:
        self.text = text
        self._block_tokens = text.block_tokens
        self._chain = Chain(self._block_tokens * ID_BYTES, secret)
        self._chunks = Chain(self._block_tokens * CHUNK_BYTES_PER_TOKEN, secret)
        self._may_ask = may_ask
        self._heads: OrderedDict[bytes, _Head] = OrderedDict()
        """For the key of a conversation's first items: how one conversation went on, or what several have in common."""
        self.conversations = Conversations(text.conversations.room)

    def recognise(self, request: Request) -> Prompt:
        """The blocks known from workers, and an estimate of the rest; text where no worker can be asked."""
        request.memo[self] = None
        if request.prompts or not self._may_ask(request):
            return self.text.recognise(request)
        realm = request.frame.memo.get(self)
        if not isinstance(realm, Realm):
            scope = scope_key(self.text.format, request.fields)
            context = self.text.keyed.of(context_key(scope, request.fields, self.text.engine))
            realm = request.frame.memo[self] = Realm(self._chain.root(scope), context)
        root, keys = realm.root, StartKeys(realm.context, request.conversation)
        place, boundary = self.conversations.find(keys)
        unseen = b"".join(map(bytes, request.conversation.since(place if boundary else 0)))
        if holds_media(unseen):
            return self.text.recognise(request)
        request.memo[self] = _Seen(keys)
        known = boundary.chain() if boundary is not None else b""
        if boundary is not None and boundary.ending is not None and not unseen:
            last, _ = self._chain.extend(boundary.parent(root), b"", boundary.ending)
            return self._exact(request, known + last, boundary.tokens + len(boundary.ending) // ID_BYTES)
        parent = boundary.parent(root) if boundary is not None else root
        provisional, _ = self._chunks.extend(parent, b"", unseen if boundary else prompt_head(request) + unseen)
        tokens = boundary.tokens if boundary is not None else 0
        return Prompt(
            chain=known + provisional,
            known_blocks=len(known) // HASH_BYTES,
            tokens=max(1, tokens + round(len(unseen) / self.text.bytes_per_token)),
            block_tokens=self._block_tokens,
            exact=False,
            source="worker",
            teachable=request.teachable,
            ask=True,
        )

    def encode(self, request: Request) -> Prompt:
        """As `recognise`: only a worker knows more."""
        return self.recognise(request) if isinstance(request.memo.get(self), _Seen) else self.text.encode(request)

    def encode_briefly(self, request: Request) -> Prompt:
        """As `encode`, which is fast enough for the event loop."""
        return self.encode(request)

    def tail_bytes(self, request: Request) -> int:
        """Always 0: there is no encoder to wait for."""
        return 0

    def observe(self, request: Request, prompt_tokens: int) -> None:
        """Learn from the engine's own count, for the estimates."""
        self.text.observe(request, prompt_tokens)

    def as_text(self, request: Request) -> Prompt:
        """The prompt as text chunks, when no worker gave its ids."""
        request.memo[self] = None
        return self.text.recognise(request)

    def learn(self, request: Request, ids: Sequence[int]) -> Prompt:
        """The exact prompt from the ids that a worker gave. Remembers them for the next turn. About 1 us a block."""
        seen, packed = request.memo.get(self), pack(ids)
        root = self._chain.root(scope_key(self.text.format, request.fields))
        chain, _ = self._chain.extend(root, b"", packed)
        if not isinstance(seen, _Seen):
            return self._exact(request, chain, len(ids))
        kept = max(0, len(ids) - OVERHANG_TOKENS) // self._block_tokens
        _, base = self.conversations.find(seen.keys)
        if base is not None and (base.blocks > kept or not chain.startswith(base.chain())):
            base = None  # the template rewrote the known part
        new = chain[(base.blocks if base else 0) * HASH_BYTES : kept * HASH_BYTES]
        spine, blocks = self.conversations.grow(base, new)
        tokens = blocks * self._block_tokens
        boundary = Boundary(spine, blocks, b"", tokens=tokens, ending=packed[tokens * ID_BYTES :])
        self.conversations.add(seen.keys[len(seen.keys) - 1], boundary)
        self._learn_heads(seen.keys, chain)
        return self._exact(request, chain, len(ids))

    def _learn_heads(self, keys: StartKeys, chain: bytes) -> None:
        """Learn what this prompt shares with the last one that began with the same items but went on otherwise."""
        for place in range(min(_HEADS, len(keys) - 1)):
            key, next_key = keys[place], keys[place + 1]
            before = self._heads.pop(key, None)
            if before is None or before.next_key == next_key:
                self._heads[key] = _Head(chain[: _HEAD_BLOCKS * HASH_BYTES], next_key)
                continue
            shared = _common_blocks(before.chain, chain)
            self._heads[key] = _Head(chain[: shared * HASH_BYTES], b"")
            if shared:
                spine = Spine(chain[: shared * HASH_BYTES])
                self.conversations.add(key, Boundary(spine, shared, b"", tokens=shared * self._block_tokens))
        while len(self._heads) > _MAX_HEADS:
            self._heads.popitem(last=False)

    def _exact(self, request: Request, chain: bytes, tokens: int) -> Prompt:
        return Prompt(
            chain=chain,
            known_blocks=len(chain) // HASH_BYTES,
            tokens=tokens,
            block_tokens=self._block_tokens,
            exact=True,
            source="worker",
            teachable=request.teachable,
        )


def _common_blocks(one: bytes, other: bytes) -> int:
    count = min(len(one), len(other)) // HASH_BYTES
    places = range(0, count * HASH_BYTES, HASH_BYTES)
    return next((p // HASH_BYTES for p in places if one[p : p + 8] != other[p : p + 8]), count)
