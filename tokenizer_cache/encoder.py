"""From a request to its exact ids and block chain, at a cost that follows what is new in it.

`recognise` is for the event loop: microseconds, exact for what is known, estimated for the rest. `encode` is pure work
for any thread; it adds what it learns to the conversation cache, under a lock held for microseconds. Neither fails for
a request that was parsed: a prompt that cannot be exact becomes text chunks, and is counted.
"""

from typing import Final, NamedTuple

import jinja2
import msgspec

from tokenizer_cache.bodies.fields import ChatFields, CompletionFields, Fields, ResponseFields, given, holds_media
from tokenizer_cache.bodies.given_ids import ids_in_place_of_messages
from tokenizer_cache.bodies.identity import context_key, framed, scope_key
from tokenizer_cache.bodies.items import StartKeys
from tokenizer_cache.bodies.request import Frame, Request
from tokenizer_cache.conversations.chain import HASH_BYTES, ID_BYTES, Chain, pack
from tokenizer_cache.conversations.conversation import DEFAULT_ROOM_BYTES, Boundary, Conversations, Room, Spine
from tokenizer_cache.conversations.keyed import KeyedHash
from tokenizer_cache.counters import Counters
from tokenizer_cache.messages import Closed, MessageEncoder, NotBrief, Recognised, close
from tokenizer_cache.prompt import Prompt
from tokenizer_cache.rules import NotExact
from tokenizer_cache.templates.render import RENDER_ERRORS
from tokenizer_cache.text import CHUNK_BYTES_PER_TOKEN, TextEncoder, prompt_head
from tokenizer_cache.tokenizers.tokenizer import Tokenizer
from tokenizer_cache.worker_ids import WorkerIdsEncoder

LONG_TEXT_BYTES: Final = 32 << 10
"""A longer completion prompt is matched by its text, so that a growing one matches before it is encoded."""
BRIEF_BYTES: Final = 6144
"""The event loop never renders a longer body whole."""
_CALL_BYTES: Final = 64
"""Where a request has several prompts, each costs as much as this much text on top of its own."""
_LEARN = 0.1
_REACH: Final = 16
"""Other routers are asked for at most this many of a conversation's last places: the last turn's answers and
results."""
_HEADS: Final = 3
"""They are also asked for this many of its first places: instructions and tools, which other conversations share."""


class _Realm(NamedTuple):
    """What a request's frame says about its prompt's identity."""

    root: bytes
    """The parent of first blocks."""
    context: bytes
    """Stands for all that changes how messages become ids: seeds the conversation keys."""


class _Known(NamedTuple):
    """The known part of a prompt."""

    chain: bytes
    tokens: int


class PromptEncoder:
    """Exact prompts of one format: one engine family, tokenizer, template and block size."""

    def __init__(
        self, format_name: str, tokenizer: Tokenizer, block_tokens: int, secret: bytes, room: Room | None = None
    ) -> None:
        room = room or Room(DEFAULT_ROOM_BYTES)
        self._format = format_name
        self._tokenizer = tokenizer
        self._block_tokens = block_tokens
        self._hash = KeyedHash(secret)
        self._chain = Chain(block_tokens * ID_BYTES, secret)
        self._chunks = Chain(block_tokens * CHUNK_BYTES_PER_TOKEN, secret)
        self._text: TextEncoder | WorkerIdsEncoder = TextEncoder(
            format_name, block_tokens, secret, room, tokenizer.served.engine
        )
        self.from_workers: WorkerIdsEncoder | None = None
        self.counters = Counters()
        self.conversations = Conversations(room)
        self._messages: MessageEncoder | None = None
        self._not_exact = tokenizer.not_exact
        if tokenizer.not_exact is None:
            try:
                self._messages = MessageEncoder(tokenizer, self._chain, self.conversations, self.counters)
            except jinja2.TemplateError:
                self._not_exact = "template"
        self.tag = b""
        """Stands for all that makes equal requests give equal chains; empty where nothing is shared."""
        self.bytes_per_token = 4.0
        """Bytes of a request per token, as learned from earlier ones; estimates what is not encoded yet."""

    def fall_back_to(self, from_workers: WorkerIdsEncoder) -> None:
        """Take ids from workers where prompts cannot be exact here. Call before the first request."""
        self._text = self.from_workers = from_workers

    def keep_ids(self) -> None:
        """Keep the ids of conversations, so that prompts carry them. Call before the first request."""
        self.conversations.keep_ids = True

    def recognise(self, request: Request) -> Prompt:
        """The prompt as far as it is known without encoding. Tens of microseconds for a known conversation."""
        if (ids := ids_in_place_of_messages(request, self._tokenizer.served.engine)) is not None:
            self.counters.hits["ids"] += 1
            chain, _ = self._chain.extend(self._realm(request.frame).root, b"", ids)
            return self._exact(request, Closed(chain, len(ids) // ID_BYTES, b""), "ids")
        if reason := self._why_text(request):
            return self._as_text(request, reason)
        realm = self._realm(request.frame)
        root = realm.root
        if request.prompts:
            return self._recognise_prompts(request, realm)
        context = realm.context + (self._messages.day() if self._messages else b"")
        keys = StartKeys(context, request.conversation)
        place, boundary = self.conversations.find(keys)
        unseen = b"".join(request.conversation.since(place))
        if holds_media(unseen):
            return self._as_text(request, "media")
        request.memo[self] = Recognised(root, context, keys, place, boundary, len(unseen))
        if boundary is not None and boundary.ending is not None and not unseen:
            return self._known(request, boundary, root)
        if boundary is None:
            return self._estimate(request, root, _Known(b"", 0), prompt_head(request) + unseen)
        return self._estimate(request, boundary.parent(root), _Known(boundary.chain(), boundary.tokens), unseen)

    def tail_bytes(self, request: Request) -> int:
        """How many bytes `encode` will have to read, which decides where it may run. 0 when nothing is left."""
        seen = request.memo.get(self)
        if not isinstance(seen, Recognised):
            return 0
        if request.prompts:
            return sum(len(prompt) + _CALL_BYTES for prompt in request.prompts if isinstance(prompt, str))
        if seen.boundary is None or self._messages is None or self._messages.tails.due(seen.context, seen.boundary):
            return len(request.body)
        return seen.unseen_bytes

    def unknown_places(self, request: Request) -> list[tuple[int, bytes]]:
        """Places of the request's conversation that are not known, with their keys, the deepest first: those where it
        is likely known elsewhere."""
        seen = request.memo.get(self)
        if not isinstance(seen, Recognised) or request.prompts:
            return []
        first = seen.place + 1 if seen.boundary is not None else 0
        last = len(seen.keys)
        wanted = [place for place in range(first, last) if place >= last - _REACH or place < _HEADS]
        return [(place, seen.keys[place]) for place in reversed(wanted)]

    def recalled(self, request: Request, place: int, chain: bytes, tokens: int) -> Prompt:
        """The prompt, given that its first `place` items are `tokens` tokens in the blocks of `chain`."""
        seen = request.memo[self]
        assert isinstance(seen, Recognised)
        unseen = b"".join(request.conversation.since(place))
        return self._estimate(request, chain[-HASH_BYTES:], _Known(chain, tokens), unseen)

    def encode_briefly(self, request: Request) -> Prompt | None:
        """As `encode`, for an event loop. None where it would take too long: when a tail must be compared with the
        whole rendering."""
        try:
            return self._encode(request, brief=len(request.body) > BRIEF_BYTES)
        except NotBrief:
            return None

    def encode(self, request: Request) -> Prompt:
        """The exact prompt, or text chunks where it cannot be exact. Safe in any thread."""
        return self._encode(request, brief=False)

    def _encode(self, request: Request, brief: bool) -> Prompt:
        seen = request.memo.get(self)
        if seen is None and self._text not in request.memo:
            known = self.recognise(request)
            if known.exact:
                return known
            seen = request.memo.get(self)
        if not isinstance(seen, Recognised):
            return self._text.encode(request)
        if request.prompts:
            return self._encode_prompts(request, seen)
        if self._messages is None:
            return self._as_text(request, "template")
        try:
            closed = self._messages.encode(request, seen, brief)
        except NotExact as error:
            return self._as_text(request, error.reason)
        except RENDER_ERRORS:
            return self._as_text(request, "template")
        self._learn(request, seen, closed.tokens)
        return self._exact(request, closed, "encoded")

    def observe(self, request: Request, prompt_tokens: int) -> None:
        """Learn from the engine's own count of the prompt's tokens, for the estimate of prompts that became text."""
        self._text.observe(request, prompt_tokens)

    def _why_text(self, request: Request) -> str | None:
        fields = request.fields
        if reason := _beyond_us(fields):
            return reason
        if request.prompts:
            return None if self._tokenizer.served.completions_exact else "template"
        return None if self._messages is not None else self._not_exact

    def _as_text(self, request: Request, reason: str) -> Prompt:
        prompt = self._text.recognise(request)
        self.counters.inexact[reason] += 1
        self.counters.hits["text"] += 1
        return prompt

    def _estimate(self, request: Request, parent: bytes, known: _Known, unseen: bytes) -> Prompt:
        """Exact blocks, then one provisional hash per chunk of unseen bytes."""
        provisional, _ = self._chunks.extend(parent, b"", unseen)
        return Prompt(
            chain=known.chain + provisional,
            known_blocks=len(known.chain) // HASH_BYTES,
            tokens=max(1, known.tokens + round(len(unseen) / self.bytes_per_token)),
            block_tokens=self._block_tokens,
            exact=False,
            source="estimate",
            teachable=request.teachable,
        )

    def _known(self, request: Request, boundary: Boundary, root: bytes) -> Prompt:
        closed = close(self._chain, boundary, root, boundary.ending or b"", self._keeps(request))
        return self._exact(request, closed, "conversation")

    def _keeps(self, request: Request) -> bool:
        return self.conversations.keep_ids and not request.prompts

    def _exact(self, request: Request, closed: Closed, source: str) -> Prompt:
        return Prompt(
            chain=closed.chain,
            known_blocks=len(closed.chain) // HASH_BYTES,
            tokens=closed.tokens,
            ids=closed.ids,
            block_tokens=self._block_tokens,
            exact=True,
            source=source,
            teachable=request.teachable,
        )

    def _learn(self, request: Request, seen: Recognised, tokens: int) -> None:
        new = tokens - (seen.boundary.tokens if seen.boundary else 0)
        size = seen.unseen_bytes + (0 if seen.boundary else len(prompt_head(request)))
        if new > 16 and size > 64:
            self.bytes_per_token += _LEARN * (min(max(size / new, 1.0), 16.0) - self.bytes_per_token)

    def _realm(self, frame: Frame) -> _Realm:
        realm = frame.memo.get(self)
        if not isinstance(realm, _Realm):
            scope = scope_key(self._format, frame.fields)
            context = self._hash.of(context_key(scope, frame.fields, self._tokenizer.served.engine))
            realm = frame.memo[self] = _Realm(self._chain.root(scope), context)
        return realm

    def _recognise_prompts(self, request: Request, realm: _Realm) -> Prompt:
        longest = max(request.prompts, key=len)
        if all(isinstance(prompt, bytes) for prompt in request.prompts):
            self.counters.hits["ids"] += 1
            assert isinstance(longest, bytes)
            tokens = sum(len(prompt) // ID_BYTES for prompt in request.prompts)
            chain, _ = self._chain.extend(realm.root, b"", longest)
            return self._exact(request, Closed(chain, tokens, b""), "ids")
        assert isinstance(longest, str)
        texts = [_bytes(prompt) for prompt in request.prompts]
        key = realm.context + self._hash.of(framed(texts))
        _, boundary = self.conversations.find([key])
        request.memo[self] = Recognised(realm.root, realm.context, [key], 0, boundary, sum(map(len, texts)))
        if boundary is not None:
            return self._known(request, boundary, realm.root)
        text = _bytes(longest)
        if len(text) > LONG_TEXT_BYTES:
            return self._text.recognise(request)
        return self._estimate(request, realm.root, _Known(b"", 0), text)

    def _encode_prompts(self, request: Request, seen: Recognised) -> Prompt:
        always = self._tokenizer.served.engine == "sglang"
        special = always or given(request.fields.add_special_tokens) != b"false"
        texts = [prompt for prompt in request.prompts if isinstance(prompt, str)]
        encoded = [self.counters.timed(self._tokenizer, text, special) for text in texts]
        self.counters.hits["cold"] += 1
        tokens = sum(map(len, encoded))
        if any(len(_bytes(text)) > LONG_TEXT_BYTES for text in texts):
            return msgspec.structs.replace(self._text.encode(request), tokens=tokens)
        chain, remainder = self._chain.extend(seen.root, b"", pack(max(encoded, key=len)))
        boundary = Boundary(Spine(chain), len(chain) // HASH_BYTES, remainder, tokens, ending=b"")
        self.conversations.add(seen.keys[0], boundary)
        return self._exact(request, Closed(chain, tokens, b""), "encoded")


def _beyond_us(fields: Fields) -> str | None:
    """Why the engine's prompt is more than its messages rendered: the metric label of a field that makes it so."""
    if b"prompt_token_ids" in given(fields.kv_transfer_params) or given(fields.input_ids):
        return "token_ids"
    if given(fields.truncate_prompt_tokens):
        return "truncation"
    if isinstance(fields, ChatFields):
        return "chat_template" if given(fields.chat_template) else None
    if isinstance(fields, CompletionFields):
        return "prompt" if given(fields.suffix) or given(fields.prompt_embeds) else None
    if isinstance(fields, ResponseFields):
        stateful = (
            fields.previous_response_id is not None or given(fields.previous_input_messages) or given(fields.prompt)
        )
        return "stateful" if stateful else None
    return None


def _bytes(prompt: str | bytes) -> bytes:
    return prompt.encode() if isinstance(prompt, str) else prompt
