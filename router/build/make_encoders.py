"""Where token ids come from: which tokenizer and template each model has, and whom else to ask for them."""

import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from router.engines import control_client
from router.fleet.breaker import Breaker
from router.fleet.groups import ModelGroup
from router.processes.memory import journal_of
from router.prompts.ask import TokenAsker
from router.prompts.encoders import EncoderSet, EncoderSettings, TokenSource
from router.settings import Settings

if TYPE_CHECKING:
    from router.build.app import Router


def make_asker(router: "Router", settings: Settings) -> TokenAsker:
    """Who asks workers for the token ids of prompts that nobody here can render."""
    key = settings.worker_api_key.value if settings.worker_api_key else ""
    client = control_client(settings.ask_timeout_s, key, router.worker_tls, router.resolver)
    make_breaker = partial(Breaker, time.monotonic, settings.breaker_failures, settings.breaker_open_s)
    return TokenAsker(client, make_breaker, router.instruments.token_asks, off=not settings.ask_workers)


def make_encoders(router: "Router", settings: Settings, cache_bytes: int) -> EncoderSet:
    """One encoder per model, rules and block size, with `cache_bytes` of known conversations between them."""
    source = partial(token_source, settings)
    encoders = EncoderSettings(source, router.asker, router.secret, cache_bytes, settings.forward_token_ids)
    encoders.journal = journal_of(router.place)
    encoders.recall = router.sharing.recall if router.sharing else None
    return EncoderSet(router.fleet, encoders)


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
