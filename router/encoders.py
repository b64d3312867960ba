"""Which encoder reads the prompts of which model, for each prompt format that its workers use.

Tokenizers load in a thread, one after the other; until one is there, and where there will be none, prompts are
compared as text chunks: requests are routed all the same, the degradation is counted, and one log line says why.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from router.encoding import Encoder
from router.workers import Fleet, ModelGroup
from tokenizer_cache.encoder import PromptEncoder
from tokenizer_cache.request import parse
from tokenizer_cache.text import TextEncoder
from tokenizer_cache.tokenizer import Tokenizer, TokenizerUnavailable, load

log = logging.getLogger("warmroute")

EXACT_ENGINES = frozenset({"vllm"})
"""Engines whose rendering of a request into ids is reproduced here."""


class EncoderSettings:
    """How encoders are made. `spec_of(group)` names the tokenizer: a path, an id, `package:NAME`, or "" for none."""

    def __init__(self, spec_of: Callable[[ModelGroup], str], secret: bytes, cache_bytes: int) -> None:
        self.spec_of = spec_of
        self.secret = secret
        self.cache_bytes = cache_bytes


class EncoderSet:
    """Encoders by base model and format. `of` never waits."""

    def __init__(self, fleet: Fleet, settings: EncoderSettings) -> None:
        self._settings = settings
        self._by_group: dict[str, Mapping[str, Encoder]] = {}
        self._encoders: dict[tuple[str, str], Encoder] = {}
        self._tokenizers: dict[str, Tokenizer | None] = {}
        self._wanted: asyncio.Queue[str] = asyncio.Queue()
        self._unloaded = 0
        fleet.on_groups.append(self._by_group.clear)
        fleet.on_groups.append(lambda: self._want(fleet))

    def of(self, group: ModelGroup) -> Mapping[str, Encoder]:
        """The encoders for this group's requests, by worker format."""
        found = self._by_group.get(group.name)
        if found is None:
            found = {
                worker.format: self._encoder(group, worker.format, worker.chain_block_tokens)
                for worker in group.workers
            }
            self._by_group[group.name] = found
        return found

    @property
    def exact(self) -> list[PromptEncoder]:
        """The encoders that produce exact ids: for metrics."""
        return [encoder for encoder in self._encoders.values() if isinstance(encoder, PromptEncoder)]

    @property
    def loading(self) -> int:
        """Tokenizers that are still to be loaded, the one at work included."""
        return self._unloaded

    async def run(self) -> None:
        """Load tokenizers as they are wanted, for ever."""
        while True:
            spec = await self._wanted.get()
            try:
                self._tokenizers[spec] = await asyncio.to_thread(_load_warm, spec)
            except TokenizerUnavailable as error:
                log.warning("no exact tokens for %s, prompts are compared as text: %s", spec, error)
                continue
            finally:
                self._unloaded -= 1
            log.info("tokenizer %s is loaded", spec)
            self._encoders.clear()
            self._by_group.clear()

    def _want(self, fleet: Fleet) -> None:
        for group in fleet.groups.values():
            spec = self._settings.spec_of(group)
            if spec and spec not in self._tokenizers and any(_is_exact(worker.format) for worker in group.workers):
                self._tokenizers[spec] = None
                self._wanted.put_nowait(spec)
                self._unloaded += 1

    def _encoder(self, group: ModelGroup, name: str, block_tokens: int) -> Encoder:
        spec = self._settings.spec_of(group)
        tokenizer = self._tokenizers.get(spec) if _is_exact(name) else None
        key = (f"{spec} {group.base}", name)
        encoder = self._encoders.get(key)
        if encoder is None:
            settings = self._settings
            if tokenizer is not None:
                encoder = PromptEncoder(name, tokenizer, block_tokens, settings.secret, settings.cache_bytes)
            else:
                encoder = TextEncoder(name, block_tokens, settings.secret, min(settings.cache_bytes, 64 << 20))
            self._encoders[key] = encoder
        return encoder


def _load_warm(spec: str) -> Tokenizer:
    """Load, and encode once: the first use compiles the template, which takes as long as many requests."""
    tokenizer = load(spec)
    probe = parse("chat", b'{"model":"m","messages":[{"role":"user","content":"hello"}]}')
    PromptEncoder("warm-up", tokenizer, 64, b"warm-up", 1 << 20).encode(probe)
    return tokenizer


def _is_exact(name: str) -> bool:
    return name.partition("/")[0] in EXACT_ENGINES
