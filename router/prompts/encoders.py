"""Which encoder reads the prompts of which model, for each prompt format that its workers use.

Tokenizers load in a thread, one after the other. Until a tokenizer is loaded, and where none can be, prompts are
compared as text chunks: requests are still routed, the degradation is counted, and one log line says why.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import jinja2
import msgspec

from router.fleet.groups import ModelGroup
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.prompts.ask import TokenAsker
from router.prompts.encoding import Encoder
from router.prompts.recall import Recall
from tokenizer_cache.bodies.request import Request, parse
from tokenizer_cache.conversations.conversation import Room
from tokenizer_cache.conversations.journal import Journal
from tokenizer_cache.encoder import PromptEncoder
from tokenizer_cache.rules import Served
from tokenizer_cache.templates.render import RENDER_ERRORS, renderer_of
from tokenizer_cache.text import TextEncoder
from tokenizer_cache.tokenizers.load import load
from tokenizer_cache.tokenizers.tokenizer import Tokenizer, TokenizerUnavailable
from tokenizer_cache.worker_ids import WorkerIdsEncoder

log = logging.getLogger("warmroute")

EXACT_ENGINES = frozenset({"vllm", "sglang"})
"""Engines whose rendering of requests this package reproduces."""


MAX_ENCODERS: Final = 256
"""From this number of encoders on, those of formats that no worker has any more are dropped."""
MAX_NAMED: Final = 64
"""Tokenizers that one server's models may ask for; the prompts of its further models get their ids from the workers.
Danger: with more, a server that calls its models anew at each look has other servers' tokenizers wait behind
thousands of its own."""
RETRY_S: Final = 300.0
"""Seconds after which a tokenizer that could not be loaded is tried again: the hub may have been unreachable."""
_UNLOADED: Final = (
    "no exact tokens for %s: prompts get their ids from the workers or are compared as text: %s (retry every %.0f s)"
)


class TokenSource(NamedTuple):
    """Where one model's tokenizer and template come from."""

    spec: str
    """A path, an id, `package:NAME`, or "" for none."""
    template: str = ""
    """A file with the chat template, in place of the tokenizer's own."""
    default_kwargs: str = "{}"
    """Template arguments that the model's workers set where a request does not, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSettings:
    """How encoders are made."""

    source_of: Callable[[ModelGroup], TokenSource]
    asker: TokenAsker
    secret: bytes
    room: Room
    """Shared by all encoders."""
    journal: Journal | None = None
    """Shares conversations with sibling processes."""
    recall: Recall | None = None
    """Shares conversations with other routers."""
    keep_ids: bool = False
    retry_s: float = RETRY_S


class EncoderSet:
    """Encoders by base model and format. `of` never waits."""

    def __init__(self, fleet: Fleet, settings: EncoderSettings) -> None:
        self._fleet = fleet
        self._settings = settings
        self.room = settings.room
        """The memory of all encoders."""
        self._by_group: dict[str, Mapping[str, Encoder]] = {}
        self._encoders: dict[tuple[str, str], Encoder] = {}
        self._tokenizers: dict[tuple[str, str], Tokenizer | None] = {}
        self._served: dict[tuple[str, str, str], Tokenizer] = {}
        """The tokenizer of each source's first two parts and server's options."""
        self._wanted: asyncio.Queue[TokenSource] = asyncio.Queue()
        self._unloaded = 0
        self._failed: set[TokenSource] = set()
        self._named: set[tuple[str, str]] = set()
        """The first two parts of the sources that the fleet's models have now."""
        fleet.on_groups.append(self._by_group.clear)
        fleet.on_groups.append(lambda: self._want(fleet))

    def of(self, group: ModelGroup) -> Mapping[str, Encoder]:
        """The encoders for this group's requests, by worker format."""
        found = self._by_group.get(group.name)
        if found is None:
            found = {worker.format: self._encoder(group, worker) for worker in group.workers}
            self._by_group[group.name] = found
        return found

    @property
    def exact(self) -> list[PromptEncoder]:
        """The encoders that produce exact ids: for metrics."""
        return [encoder for encoder in self._encoders.values() if isinstance(encoder, PromptEncoder)]

    @property
    def taken(self) -> int:
        """Boundaries of conversations that came from sibling processes."""
        journal = self._settings.journal
        return journal.taken if journal is not None else 0

    @property
    def loading(self) -> int:
        """Tokenizers that are not loaded yet, including the one that is loading."""
        return self._unloaded

    async def run(self) -> None:
        """Load wanted tokenizers, and make renderers for the servers that use them, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            source = await self._wanted.get()
            tokenizer = self._tokenizers.get(source[:2])
            if tokenizer is None and source[:2] not in self._named:
                self._forget(source)
                continue
            loaded = tokenizer is not None
            try:
                if tokenizer is None:
                    tokenizer = await asyncio.to_thread(_load_warm, source)
                    tokenizer.use_tiktoken()
                self._served.update(await self._prepare(source, tokenizer))
                self._tokenizers[source[:2]] = tokenizer
            except TokenizerUnavailable as error:
                level = logging.DEBUG if source in self._failed else logging.WARNING
                log.log(level, _UNLOADED, source.spec, error, self._settings.retry_s)
                self._failed.add(source)
                loop.call_later(self._settings.retry_s, self._enqueue, source)
                continue
            finally:
                self._unloaded -= 1
            if loaded:
                continue
            log.info("tokenizer %s is loaded", source.spec)
            self._encoders.clear()
            self._by_group.clear()
            self.room.clear()

    async def _prepare(self, source: TokenSource, tokenizer: Tokenizer) -> dict[tuple[str, str, str], Tokenizer]:
        """Renderers for the servers that use this tokenizer. To make one takes 50 to 150 ms, for which running streams
        must not stand still."""
        wanted = {_key(source, served): served for served in self._servers(source)}
        new = {key: served for key, served in wanted.items() if key not in self._served}
        if not new:
            return {}
        if len(self._served) + len(new) > MAX_ENCODERS:
            self._served.clear()
        return await asyncio.to_thread(lambda: {key: _for_server(tokenizer, served) for key, served in new.items()})

    def _servers(self, source: TokenSource) -> list[Served]:
        """The options of the servers whose prompts are made with this tokenizer."""
        groups = [group for group in self._fleet.groups.values() if self._settings.source_of(group)[:2] == source[:2]]
        return [_served(worker, self._settings.source_of(group)) for group in groups for worker in _kinds(group)]

    def _want(self, fleet: Fleet) -> None:
        sources = [(self._settings.source_of(group), group) for group in fleet.groups.values()]
        self._named = _named(sources)
        if len(self._tokenizers) > MAX_ENCODERS:
            known = self._tokenizers.items()
            self._tokenizers = {key: one for key, one in known if one is None or key in self._named}
        for source, group in sources:
            if source[:2] not in self._named:
                continue
            if source[:2] not in self._tokenizers:
                self._tokenizers[source[:2]] = None
                self._enqueue(source)
            elif self._tokenizers[source[:2]] is not None and any(
                _key(source, _served(worker, source)) not in self._served for worker in _kinds(group)
            ):
                self._enqueue(source)

    def _forget(self, source: TokenSource) -> None:
        """No model has it any more, and it was never loaded."""
        self._tokenizers.pop(source[:2], None)
        self._failed.discard(source)
        self._unloaded -= 1

    def _enqueue(self, source: TokenSource) -> None:
        self._wanted.put_nowait(source)
        self._unloaded += 1

    def _encoder(self, group: ModelGroup, worker: Worker) -> Encoder:
        source, name, settings = self._settings.source_of(group), worker.format, self._settings
        key = (f"{source} {group.base}", name)
        encoder = self._encoders.get(key)
        if encoder is None:
            from_workers = self._from_workers(worker)
            tokenizer = self._tokenizers.get(source[:2]) if _is_exact(worker) else None
            if tokenizer is not None:
                served = _served(worker, source)
                known = self._served.get(_key(source, served))
                used = known or tokenizer.served_by(served)
                exact = PromptEncoder(name, used, worker.chain_block_tokens, settings.secret, settings.room)
                tag = (key, worker.chain_block_tokens, used.served, used.chat_template, used.special_tokens)
                if settings.journal is not None:
                    exact.conversations.share(settings.journal, _digest(repr(tag), settings.secret))
                if settings.recall is not None:
                    settings.recall.join(exact, _digest(repr(tag), settings.secret))
                exact.fall_back_to(from_workers)
                if settings.keep_ids:
                    exact.keep_ids()
                encoder = exact
            else:
                encoder = from_workers if source.spec else from_workers.text
            if len(self._encoders) >= MAX_ENCODERS:
                self._drop_unused()
            self._encoders[key] = encoder
        return encoder

    def _drop_unused(self) -> None:
        """Drop encoders without workers: a worker that reports another format at each look must not fill the memory."""
        used = {worker.format for worker in self._fleet.workers.values()}
        self._encoders = {key: encoder for key, encoder in self._encoders.items() if key[1] in used}

    def _from_workers(self, worker: Worker) -> WorkerIdsEncoder:
        """The encoder for prompts that are not exact here: ids from workers of this worker's format, or text."""
        settings, name = self._settings, worker.format

        def may_ask(request: Request) -> bool:
            group = self._fleet.group(request.model)
            workers = [other for other in group.workers if other.format == name] if group is not None else []
            return settings.asker.may_ask(workers, request)

        engine = worker.facts.served.engine if worker.facts is not None else ""
        text = TextEncoder(name, worker.chain_block_tokens, settings.secret, settings.room, engine)
        return WorkerIdsEncoder(text, settings.secret, may_ask)


def worker_ids_encoder_of(encoder: Encoder) -> WorkerIdsEncoder | None:
    """The encoder that takes ids from workers, behind this encoder."""
    return (
        encoder.from_workers
        if isinstance(encoder, PromptEncoder)
        else encoder
        if isinstance(encoder, WorkerIdsEncoder)
        else None
    )


def _load_warm(source: TokenSource) -> Tokenizer:
    """Load, and encode once: the first encode compiles the template, which takes as long as many requests."""
    try:
        template = Path(source.template).read_text(encoding="utf-8") if source.template else None
    except (OSError, ValueError) as error:
        raise TokenizerUnavailable(f"{source.template}: {error}") from error
    tokenizer = load(source.spec, template, for_this_thread=False)
    probe = parse("chat", b'{"model":"m","messages":[{"role":"user","content":"hello"}]}')
    PromptEncoder("warm-up", tokenizer, 64, b"warm-up").encode(probe)
    return tokenizer


def _key(source: TokenSource, served: Served) -> tuple[str, str, str]:
    return (*source[:2], served.key)


def _for_server(tokenizer: Tokenizer, served: Served) -> Tokenizer:
    """The tokenizer as this kind of server uses it, with its renderer where it can have one."""
    used = tokenizer.served_by(served)
    if used.not_exact is None:
        with suppress(jinja2.TemplateError, *RENDER_ERRORS):  # the encoder says so, when it is made
            renderer_of(used)
    return used


def _digest(text: str, secret: bytes) -> bytes:
    """A digest that is keyed: siblings with another secret must not match, because they give the same text another
    key."""
    return hashlib.blake2b(text.encode(), digest_size=8, key=secret[:64]).digest()


def _served(worker: Worker, source: TokenSource) -> Served:
    """The server's options from the worker itself, and from the settings where it does not give them."""
    served = worker.facts.served if worker.facts is not None else Served()
    if served.own_template and not source.template:
        return msgspec.structs.replace(served, not_exact=served.not_exact or "chat_template")
    if source.default_kwargs == "{}":
        return served
    return msgspec.structs.replace(served, default_kwargs=msgspec.json.decode(source.default_kwargs))


def _named(sources: Sequence[tuple[TokenSource, ModelGroup]]) -> set[tuple[str, str]]:
    """The first two parts of models' sources, as far as their servers may name them."""
    named: dict[Worker, set[tuple[str, str]]] = {}
    for source, group in sources:
        for worker in group.workers if source.spec else ():
            mine = named.setdefault(worker.server, set())
            if len(mine) < MAX_NAMED and _is_exact(worker):
                mine.add(source[:2])
    return set[tuple[str, str]]().union(*named.values())


def _kinds(group: ModelGroup) -> list[Worker]:
    """One worker of each format whose prompts can be exact."""
    return list({worker.format: worker for worker in group.workers if _is_exact(worker)}.values())


def _is_exact(worker: Worker) -> bool:
    return worker.facts is not None and worker.facts.served.engine in EXACT_ENGINES
