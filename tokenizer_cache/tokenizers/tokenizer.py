"""A tokenizer for exact ids, and what is known about its cut points.

A *cut token* is an added token at which text may be cut: encoding both sides apart gives the same ids as encoding them
together. A token counts only if this is proved at loading. Nothing here changes after loading: the encoder runs in
several threads at once.
"""

import copy
import re
import time
from collections.abc import Mapping
from typing import Any

import tokenizers

from tokenizer_cache.rules import Served
from tokenizer_cache.tokenizers.tiktoken_bpe import TiktokenBpe, agree, tiktoken_twin

_PROBES = (("ab c\n", "x"), ("x ", " y"), ("\n\n", "\n"), ("é中", "é"), ("a", "  "), ("", "a"), ("'", "s b"))
_MAX_CUT_TOKENS = 128
_SPARE = re.compile(r"unused|reserved|extra_\d|dummy|placeholder", re.IGNORECASE)
"""Names of added tokens that models reserve: no template writes them."""
_MAX_REASON = 300
MANY_IDS = 64 << 10
"""This many ids take half a millisecond to make, and as long to free."""


class TokenizerUnavailable(Exception):
    """No tokenizer could be loaded from this place; the message says why, in one line. The router still routes."""

    def __init__(self, reason: str) -> None:
        super().__init__(" ".join(reason.split())[:_MAX_REASON])


class Tokenizer:
    """A raw `tokenizers.Tokenizer` with its chat template."""

    def __init__(
        self,
        raw: tokenizers.Tokenizer,
        chat_template: str | None,
        special_tokens: Mapping[str, Any],
        not_exact: str | None = None,
        has_tool_template: bool = False,
    ) -> None:
        raw.no_truncation()
        raw.no_padding()
        self._raw = raw
        self._twin: TiktokenBpe | None = None
        self._tiktoken: TiktokenBpe | None = None
        """The twin, once it is used."""
        self.chat_template = chat_template
        self.special_tokens = dict(special_tokens)
        """Variables of the template: bos_token, eos_token, ..."""
        self.not_exact = not_exact or (None if chat_template else "no_chat_template")
        """Why chats cannot be rendered exactly (a metric label), or None."""
        self.has_tool_template = has_tool_template
        """The model has another template for requests with tools, which is not rendered here."""
        bos = raw.token_to_id(str(self.special_tokens.get("bos_token")))
        self.bos = b"no such id" if bos is None else bos.to_bytes(4, "little")
        """The packed id of the token that begins every text, where there is one."""
        self.served = Served()
        """The server whose prompts are rendered with it."""
        self.renderer: Any = None
        """Of its template, once `templates.render.renderer_of` has made it."""
        self.cut_tokens = tuple(self._find_cut_tokens())

    def find_twin(self) -> None:
        """Look whether tiktoken can encode in its place. Takes about a second. Call before the first encode."""
        self._twin = tiktoken_twin(self._raw)

    def use_tiktoken(self) -> None:
        """Encode with tiktoken from now on, in a fifth of the time, where it is proved to give the same ids. Call it in
        the thread that encodes most, which is a quarter quicker than others then. Takes less than 1 ms."""
        if self._twin is not None and agree(self._twin, self._raw):
            self._tiktoken = self._twin

    def with_template(self, chat_template: str) -> "Tokenizer":
        """The same tokenizer with another template. The reason why it is not exact stays, if the model has one."""
        changed = copy.copy(self)
        changed.renderer = None
        changed.chat_template, changed.has_tool_template = chat_template, False
        changed.not_exact = None if self.not_exact == "no_chat_template" else self.not_exact
        return changed

    def served_by(self, served: Served) -> "Tokenizer":
        """The same tokenizer as one server uses it."""
        changed = copy.copy(self)
        changed.renderer = None
        doubtful = "media" if served.multimodal and served.engine == "sglang" and self.encode("", True) else ""
        changed.served, changed.not_exact = served, self.not_exact or served.not_exact or doubtful or None
        if served.engine == "sglang":
            changed.not_exact = changed.not_exact or ("tool_template" if self.has_tool_template else None)
            if (
                served.own_template and changed.chat_template is not None
            ):  # the server reads the template from a file in its own way
                changed.chat_template = changed.chat_template.strip("\n").replace("\\n", "\n")
        return changed

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Ids of `text`. Releases the GIL; safe in several threads at once."""
        if self._tiktoken is not None and not add_special_tokens and (ids := self._tiktoken.encode(text)) is not None:
            return ids
        return self.encode_slowly(text, add_special_tokens)

    def encode_slowly(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """As `encode`, with the library `tokenizers`. It encodes a batch of one, because `Tokenizer.encode` would hold
        the GIL."""
        (encoding,) = self._raw.encode_batch_fast([text], add_special_tokens=add_special_tokens)
        ids: list[int] = encoding.ids
        if len(ids) > MANY_IDS:
            time.sleep(0)  # making a million ids takes 6 ms, and freeing them as long: others go in between
        return ids

    def last_cut(self, text: str, end: int | None = None) -> int:
        """Where the last cut token that ends at or before `end` begins, or -1. Looks at the end first."""
        end = len(text) if end is None else end
        near = max((text.rfind(token, max(0, end - 512), end) for token in self.cut_tokens), default=-1)
        return near if near >= 0 else max((text.rfind(token, 0, end) for token in self.cut_tokens), default=-1)

    def pieces(self, text: str, chars: int) -> list[str]:
        """The text in pieces of at most `chars` characters, cut at cut tokens; longer where there is none."""
        found, start = [], 0
        while len(text) - start > chars:
            at = self.last_cut(text, start + chars)
            if at <= start:
                break
            found.append(text[start:at])
            start = at
        return [*found, text[start:]]

    def _find_cut_tokens(self) -> list[str]:
        added = [token for token in self._raw.get_added_tokens_decoder().values() if token.content]
        endings = {token.content[start:] for token in added for start in range(1, len(token.content))}
        insides = "\0".join(token.content[1:] for token in added)
        found = []
        for token in added:
            text = token.content
            if token.lstrip or token.normalized or token.single_word or _SPARE.search(text):
                continue
            # The tokenizer would find another token that begins earlier and reaches into this one.
            reached = text in insides or any(text[:end] in endings for end in range(1, len(text) + 1))
            if not reached and self._cuts(text):
                found.append(text)
        return sorted(found[:_MAX_CUT_TOKENS])

    def _cuts(self, token: str) -> bool:
        """Proves by trial that neither side of the token changes the ids of the other."""
        return all(
            self.encode(left + token + right) == self.encode(left) + self.encode(token + right)
            for left, right in _PROBES
        )
