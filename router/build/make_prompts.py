"""Where token ids come from: each model's tokenizer and template, and the workers and routers that are asked for
them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from router.build.basics import Basics
from router.build.make_dial import Dial, make_control_client
from router.build.make_sharing import Sharing
from router.fleet.breaker import Breaker
from router.fleet.groups import ModelGroup
from router.fleet.workers import Fleet
from router.prompts.ask import ASK_TIMEOUT_S, TokenAsker
from router.prompts.encoders import EncoderSet, EncoderSettings, TokenSource
from router.prompts.encoding import EncodePool
from router.settings import Settings
from tokenizer_cache.bodies.reader import Reader
from tokenizer_cache.conversations.conversation import Room
from tokenizer_cache.conversations.journal import Journal
from tokenizer_cache.conversations.keyed import KeyedHash

READER_SHARE = 8
"""This part of the conversation cache's room is for recognising bodies."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """What makes a prompt of a request's body."""

    reader: Reader
    encoders: EncoderSet
    pool: EncodePool
    asker: TokenAsker


def make_prompts(basics: Basics, fleet: Fleet, dial: Dial, sharing: Sharing | None, journal: Journal | None) -> Prompts:
    """One encoder per model, rules and block size; all of them and the reader share one cache's room."""
    settings = basics.settings
    asker = _make_asker(basics, dial)
    reader_bytes = settings.conversation_cache_bytes // READER_SHARE
    encoders = EncoderSettings(
        source_of=partial(token_source, settings),
        asker=asker,
        secret=basics.secret,
        room=Room(settings.conversation_cache_bytes - reader_bytes),
        journal=journal,
        recall=sharing.recall if sharing else None,
        keep_ids=settings.forward_token_ids,
    )
    reader = Reader(reader_bytes, KeyedHash(basics.secret))
    return Prompts(reader, EncoderSet(fleet, encoders), EncodePool(settings.encode_threads), asker)


def _make_asker(basics: Basics, dial: Dial) -> TokenAsker:
    """Asks workers for the token ids of prompts that cannot be rendered here."""
    settings = basics.settings
    client = make_control_client(basics, dial, ASK_TIMEOUT_S)
    make_breaker = partial(Breaker, time.monotonic, basics.tuning.breaker_failures, basics.tuning.breaker_open_s)
    return TokenAsker(client, make_breaker, basics.instruments.token_asks, off=not settings.ask_workers)


def token_source(settings: Settings, group: ModelGroup) -> TokenSource:
    """What the settings say of a model's tokenizer and template: under its own name, or its base model's."""

    def of_model(named: Mapping[str, str], otherwise: str) -> str:
        return named.get(group.name) or named.get(group.base) or otherwise

    spec = of_model(settings.model_tokenizers, settings.tokenizer)
    return TokenSource(
        {"off": "", "auto": group.root}.get(spec, spec),
        of_model(settings.model_chat_templates, ""),
        of_model(settings.model_template_kwargs, "{}"),
    )
