"""A real tokenizer and chat template: the ids are those that the emulated engine would see.

Rendering goes through transformers' own function, so that an engine with this source is a fair judge of a router's
token counts. Texts are cut where the tokenizer cuts them itself; long pieces are encoded in a thread, equal ones once.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from transformers.utils.chat_template_utils import render_jinja_template

from loadtests.engine.chains import Ids, pseudo_random
from loadtests.engine.errors import Refused
from loadtests.engine.prompts import Body, Words
from tokenizer_cache.rules import NotExact, Rules, Served, TemplateCall
from tokenizer_cache.sglang.inputs import SglangRules
from tokenizer_cache.templates.render import RENDER_ERRORS
from tokenizer_cache.tokenizers.load import load
from tokenizer_cache.vllm.inputs import VllmRules

INLINE_CHARS = 2048
"""Shorter texts are encoded on the event loop: a thread would cost more."""
CACHED_CHARS = 32_000_000
_Key = tuple[str, bool]
"""A piece of text, and whether it is one that special tokens are added to."""

_FIRST = ("Here", "This", "That", "Then", "When", "Once", "Well", "Sure", "Good", "Next", "The", "It", "We", "You")
_REST = (
    *(" the", " of", " and", " to", " in", " is", " that", " for", " it", " as", " was", " with", " be", " by", " on"),
    *(" not", " he", " from", " are", " or", " his", " have", " an", " they", " which", " one", " you", " had", " her"),
    *(" all", " their", " there", " been", " if", " more", " when", " will", " would", " who", " so", " no", " time"),
    *(" up", " out", " what", " some", " other", " then", " also", " after", " first", " new", " over", " two", " way"),
)


class ModelTokens:
    """The tokenizer of a spec that `tokenizer_cache.tokenizers.load.load` takes, by the rules of an engine `kind`.
    Loading takes seconds."""

    def __init__(self, spec: str, kind: str = "vllm") -> None:
        self._tokenizer = load(spec)
        template = self._tokenizer.chat_template
        self._template = template
        rules = SglangRules if kind == "sglang" else VllmRules
        special_tokens = self._tokenizer.special_tokens
        self._rules: Rules | None = rules(template, special_tokens, Served(engine=kind)) if template else None
        self._first = self._single_tokens(_FIRST)
        self._rest = self._single_tokens(_REST)
        self._cut = self._between_messages()
        self._cache: OrderedDict[_Key, Ids] = OrderedDict()
        self._cached_chars = 0
        self._threads = ThreadPoolExecutor(2, "engine-encode")

    async def conversation(self, api: str, body: Body) -> Ids:
        if self._rules is None:
            raise Refused(400, "The model has no chat template.")
        try:
            call = self._rules.call(api, body)
            text = self._render(call)
        except NotExact as error:
            raise Refused(400, f"The request cannot be rendered: {error.reason}") from error
        except RENDER_ERRORS as error:
            raise Refused(400, f"The chat template failed: {type(error).__name__}") from error
        ids = await self.text(text, call.add_special_tokens)
        return np.concatenate((ids, self._suffix(call.suffix))) if call.suffix else ids

    def _suffix(self, text: str) -> Ids:
        ids = self._encode(text, True)
        return ids[1:] if ids[:1].tobytes() == self._tokenizer.bos else ids

    async def text(self, text: str, add_special_tokens: bool) -> Ids:
        pieces = [piece for piece in self._cut.split(text) if piece] if self._cut else [text]
        keys = [(piece, add_special_tokens and not index) for index, piece in enumerate(pieces or [""])]
        found = {key: ids for key in keys if (ids := self._cache.get(key)) is not None}
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        if sum(len(piece) for piece, _ in missing) <= INLINE_CHARS:
            found |= self._encoded(missing)
        else:
            found |= await asyncio.get_running_loop().run_in_executor(self._threads, self._encoded, missing)
        for key in keys:
            self._keep(key, found[key])
        return np.concatenate([found[key] for key in keys])

    def _encoded(self, keys: Sequence[_Key]) -> dict[_Key, Ids]:
        return {key: self._encode(*key) for key in keys}

    def _keep(self, key: _Key, ids: Ids) -> None:
        if key in self._cache:
            self._cache.move_to_end(key)
            return
        self._cache[key] = ids
        self._cached_chars += len(key[0])
        while self._cached_chars > CACHED_CHARS:
            self._cached_chars -= len(self._cache.popitem(last=False)[0][0])

    def words(self, seed: int, count: int) -> Words:
        numbers = pseudo_random(seed, count).tolist()
        chosen = [self._first[numbers[0] % len(self._first)]]
        chosen += [self._rest[number % len(self._rest)] for number in numbers[1:]]
        return Words(np.array([token for token, _ in chosen], dtype=np.uint32), [word for _, word in chosen])

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer._raw.decode(list(ids), skip_special_tokens=False))

    def _render(self, call: TemplateCall) -> str:
        tools: Any = call.tools
        rendered = render_jinja_template(
            conversations=[call.messages],
            tools=tools,
            chat_template=self._template,
            add_generation_prompt=call.add_generation_prompt,
            continue_final_message=call.continue_final_message,
            **{**self._tokenizer.special_tokens, **call.kwargs},
        )
        return str(rendered[0][0])

    def _encode(self, text: str, add_special_tokens: bool) -> Ids:
        try:
            return np.array(self._tokenizer.encode(text, add_special_tokens), dtype=np.uint32)
        except (UnicodeEncodeError, TypeError):  # both occur, by the version of tokenizers
            raise Refused(400, "The text holds lone surrogates.") from None

    def _between_messages(self) -> re.Pattern[str] | None:
        """Where a text can be cut without changing its ids; None where it cannot, or where something is added at the
        end of every text."""
        tokens, added = self._tokenizer.cut_tokens, self._encode("", True)
        if not tokens or (len(added) and added.tobytes() != self._tokenizer.bos):
            return None
        return re.compile(f"(?={'|'.join(map(re.escape, tokens))})")

    def _single_tokens(self, words: Sequence[str]) -> list[tuple[int, bytes]]:
        """The words that are one token each, so that an answer sent back is the ids that were cached for it."""
        encoded = [(self._tokenizer.encode(word), word.encode()) for word in words]
        single = [(ids[0], word) for ids, word in encoded if len(ids) == 1]
        if not single:
            raise ValueError("the tokenizer has none of the words that answers are made of")
        return single
