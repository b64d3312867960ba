"""What an answer teaches, after its last byte: its client's charge, which worker made a stored response, what was
really cached.

All of it is read out of what a worker wrote. The answer is out by then, so whatever goes wrong here costs the lesson
alone: it is counted and logged, and never reaches the request.
"""

import logging
from typing import TYPE_CHECKING

from router.clients import ANONYMOUS, Client
from router.engines.usage import Usage
from router.fleet.cache_loss import Turn
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.observe.metrics import Instruments
from router.prefix.index import HASH_BYTES
from router.relay.relay import Choice
from router.routing.owners import ResponseOwners
from router.routing.prompt_record import Passage
from router.wire.exchange import Exchange

if TYPE_CHECKING:
    from router.http.prompt_route import Asked

log = logging.getLogger("warmroute")


class Lessons:
    """Taken once for each prompt request, on every path."""

    def __init__(self, fleet: Fleet, owners: ResponseOwners, instruments: Instruments) -> None:
        self._fleet = fleet
        self._owners = owners
        self._instruments = instruments

    def take(self, exchange: Exchange, asked: "Asked", answered: Choice | None) -> None:
        """Charge the client, and learn from the attempt that was `answered`; None where none was. Never raises."""
        try:
            self._settle(exchange, asked)
            if answered is not None and exchange.status < 400:
                self._learn(exchange, asked, answered)
        except Exception as error:
            worker = exchange.worker.id if exchange.worker is not None else ""
            self._instruments.learn_skipped.add(1, (worker,))
            # An error's text may quote the prompt: only its type and its place are logged.
            told = RuntimeError(type(error).__name__)
            log.error(
                "an answer of worker %s taught nothing", worker, exc_info=told.with_traceback(error.__traceback__)
            )

    def _settle(self, exchange: Exchange, asked: "Asked") -> None:
        """What its client pays, on every path: what the engine reports, else what was predicted; nothing where there
        was no answer, unless it was the client that did not wait for it."""
        client, charge = exchange.client, asked.charge
        if client is None or charge is None:
            return
        if exchange.status >= 400 or not (exchange.started or exchange.client_gone):
            charge.set(0)
            return
        usage = exchange.usage = exchange.answer.usage()
        tokens = charge.tokens
        if usage is not None and (paid := usage.paid_for(len(asked.request.body))) is not None:
            tokens = paid
            charge.set(max(0, tokens - usage.cached_tokens) if usage.cached_tokens is not None else charge.tokens)
        label = (client.label,)
        self._instruments.client_prompt_tokens.add(tokens, label)
        self._instruments.client_uncached_tokens.add(charge.tokens, label)
        self._instruments.client_completion_tokens.add((usage and usage.completion_tokens) or 0, label)

    def _learn(self, exchange: Exchange, asked: "Asked", choice: Choice) -> None:
        if exchange.api == "responses":
            self._owners.learn(exchange.answer.head, choice.worker)
        passage, usage = choice.passage, exchange.usage
        if passage is None:
            return
        exchange.prompt = passage.prompt
        label = (choice.worker.id,)
        self._instruments.prompts.add(1, (exchange.source,))
        self._instruments.prompt_tokens.add(passage.prompt.tokens, label)
        if usage is None or usage.prompt_tokens is None:
            self._instruments.learn_skipped.add(1, label)
            passage.finished(None)
            return
        passage.finished(usage.completion_tokens)
        asked.encoders[choice.format].observe(asked.request, usage.prompt_tokens)
        if passage.prompt.exact and passage.prompt.tokens != usage.prompt_tokens:
            self._instruments.token_mismatches.add(1, (exchange.model,))
        self._compare(exchange.client, choice.worker, passage, usage)

    def _compare(self, client: Client | None, worker: Worker, passage: Passage, usage: Usage) -> None:
        """What was predicted to be cached, against what was."""
        instruments, label = self._instruments, (worker.id,)
        prompt_tokens, cached_tokens = usage.prompt_tokens, usage.cached_tokens
        if prompt_tokens is None or cached_tokens is None or not passage.prompt.teachable:
            instruments.learn_skipped.add(1, label)
            return
        predicted = passage.predicted_tokens
        instruments.reported_prompt_tokens.add(prompt_tokens, label)
        instruments.predicted_cached_tokens.add(predicted, label)
        instruments.cached_tokens.add(cached_tokens, label)
        instruments.overpredicted_tokens.add(max(0, predicted - cached_tokens), label)
        self._fleet.reported(worker, _turn_of(client, passage, usage))


def _turn_of(client: Client | None, passage: Passage, usage: Usage) -> Turn:
    """What an engine's usage says of the prompt of `passage`."""
    prompt, cached = passage.prompt, usage.cached_tokens or 0
    return Turn(
        start=prompt.chain[:HASH_BYTES],
        start_tokens=prompt.block_tokens,
        client="" if client is None or client.label == ANONYMOUS else client.label,
        predicted_tokens=passage.predicted_tokens,
        cached_tokens=cached,
        written_tokens=max(0, (usage.prompt_tokens or 0) - cached) + max(0, usage.completion_tokens or 0),
    )
