"""The fall-back without exact tokens: fixed chunks of the request's own bytes, chained like blocks.

Equal beginnings still give equal chains, so requests still follow their prefix; token counts are estimates that learn
from what the engines report. It is used for engines whose rendering is not known here, tokenizers that cannot be
loaded, media, and prompts that cannot be rendered. It must accept everything that parses.
"""

import re
from typing import NamedTuple

from tokenizer_cache.bodies.fields import ChatFields, MessageFields, ResponseFields, given
from tokenizer_cache.bodies.identity import context_key, scope_key
from tokenizer_cache.bodies.items import StartKeys
from tokenizer_cache.bodies.request import Request
from tokenizer_cache.conversations.chain import HASH_BYTES, Chain
from tokenizer_cache.conversations.conversation import DEFAULT_ROOM_BYTES, Boundary, Conversations, Room
from tokenizer_cache.conversations.keyed import KeyedHash
from tokenizer_cache.prompt import Prompt

CHUNK_BYTES_PER_TOKEN = 4
"""A constant: if it followed the estimate, equal prompts would be cut differently from hour to hour."""
_LEARN = 0.05
_BLOB = re.compile(rb'"[A-Za-z0-9+/=_:;,.\-]{4096,}"')


class _SeenText(NamedTuple):
    prompt: Prompt
    text_bytes: int


class Realm(NamedTuple):
    """As in an exact encoder: the parent of first chunks, and the value that begins the conversation keys."""

    root: bytes
    context: bytes


class TextEncoder:
    """Chains of text chunks. Both methods cost about 4 us per new KB, and microseconds for what is known."""

    def __init__(
        self, format_name: str, block_tokens: int, secret: bytes, room: Room | None = None, engine: str = ""
    ) -> None:
        self.format = format_name
        self.engine = engine
        self.keyed = KeyedHash(secret)
        self.block_tokens = block_tokens
        self._chain = Chain(block_tokens * CHUNK_BYTES_PER_TOKEN, secret)
        self.conversations = Conversations(room or Room(DEFAULT_ROOM_BYTES))
        self.bytes_per_token = 4.0
        """Learned in `observe`; estimates the length of prompts in tokens."""

    def recognise(self, request: Request) -> Prompt:
        """The prompt as text chunks; never exact."""
        realm = request.frame.memo.get(self)
        if not isinstance(realm, Realm):
            scope = scope_key(self.format, request.fields)
            context = self.keyed.of(context_key(scope, request.fields, self.engine))
            realm = request.frame.memo[self] = Realm(self._chain.root(scope), context)
        root = realm.root
        if request.prompts:
            return self._of_prompts(request, root)
        keys = StartKeys(realm.context, request.conversation)
        place, known = self.conversations.find(keys)
        head = b"" if known else prompt_head(request)
        items = request.conversation.bare(place if known else 0)
        new = head + b"".join(self._without_blobs(bytes(item)) for item in items)
        parent = known.parent(root) if known else root
        chain, remainder = self._chain.extend(parent, known.remainder if known else b"", new)
        known_chain = known.chain() if known else b""
        spine, blocks = self.conversations.grow(known, chain)
        text_bytes = (known.chars if known else 0) + len(new)
        if new:
            boundary = Boundary(spine, blocks, remainder, tokens=0, chars=text_bytes)
            self.conversations.add(keys[-1], boundary)
        return self._prompt(known_chain + chain, text_bytes, request)

    def encode(self, request: Request) -> Prompt:
        """As `recognise`: nothing more exact is known."""
        seen = request.memo.get(self)
        return seen.prompt if isinstance(seen, _SeenText) else self.recognise(request)

    def encode_briefly(self, request: Request) -> Prompt:
        """As `encode`, which is fast enough for the event loop."""
        return self.encode(request)

    def tail_bytes(self, request: Request) -> int:
        """Always 0: there is no encoder to wait for."""
        return 0

    def observe(self, request: Request, prompt_tokens: int) -> None:
        """Learn from a prompt's real length, as the engine reported it."""
        seen = request.memo.get(self)
        if isinstance(seen, _SeenText) and prompt_tokens > 0 and seen.text_bytes > 0:
            ratio = min(max(seen.text_bytes / prompt_tokens, 0.5), 16.0)
            self.bytes_per_token += _LEARN * (ratio - self.bytes_per_token)

    def _of_prompts(self, request: Request, root: bytes) -> Prompt:
        texts = [prompt if isinstance(prompt, bytes) else prompt.encode() for prompt in request.prompts]
        chain, _ = self._chain.extend(root, b"", max(texts, key=len))
        total = sum(len(text) for text in texts)
        return self._prompt(chain, total, request)

    def _prompt(self, chain: bytes, text_bytes: int, request: Request) -> Prompt:
        tokens = max(1, round(text_bytes / self.bytes_per_token))
        prompt = Prompt(
            chain=chain,
            known_blocks=len(chain) // HASH_BYTES,
            tokens=tokens,
            block_tokens=self.block_tokens,
            exact=False,
            source="text",
            teachable=request.teachable,
        )
        request.memo[self] = _SeenText(prompt, text_bytes)
        return prompt

    def _without_blobs(self, raw: bytes) -> bytes:
        """Replaces long base64 strings (images, audio) by their digests: a picture's tokens do not grow with its
        bytes."""
        if len(raw) < 4096:
            return raw
        return _BLOB.sub(lambda blob: b'"' + self.keyed.of(blob.group()).hex().encode() + b'"', raw)


def prompt_head(request: Request) -> bytes:
    """The bytes that stand for the part of a prompt before its messages."""
    fields = request.fields
    parts = [given(fields.tools)]
    if isinstance(fields, MessageFields):
        parts.append(given(fields.system))
    elif isinstance(fields, ResponseFields):
        parts.append(given(fields.instructions))
    elif isinstance(fields, ChatFields):
        parts.append(given(fields.documents))
    return b"".join(parts)
