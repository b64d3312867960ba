"""What an answer teaches, after its last byte: its client's charge, which worker made a stored response, what was
really cached.

All of it is read out of what a worker wrote. The answer is out by then, so whatever goes wrong here costs the lesson
alone: it is counted and logged, and never reaches the request.
"""

import logging

import msgspec

from router.clients import ANONYMOUS, Charge, Client
from router.engines.usage import Usage
from router.fleet.cache_loss import CacheReport
from router.fleet.lease import Lease
from router.fleet.workers import Fleet
from router.observe.faults import without_text
from router.observe.metrics import Instruments
from router.prefix.index import HASH_BYTES
from router.relay.attempt import ERROR_STATUS, Attempt
from router.routing.asked import Asked
from router.routing.owners import ResponseOwners
from router.routing.prompt_record import PromptRecord
from router.wire.exchange import Exchange
from router.wire.limits import limit_error
from tokenizer_cache.bodies.request import Request

log = logging.getLogger("warmroute")


class Lesson(msgspec.Struct, frozen=True):
    """What was learned, for the request's record."""

    usage: Usage | None = None
    prompt_tokens: int = 0
    calls_tool: bool = False
    """The answer calls one. Looked for where sessions are held back alone."""


def charge_of(asked: Asked) -> Charge | None:
    """What the request takes of its client's tokens; None where it takes none. Raises ClientError when they are used
    up."""
    client = asked.client
    if client is None or not asked.charged:
        return None
    if refusal := client.check_tokens():
        raise limit_error(client, refusal)
    charge = Charge(client)
    if asked.least_tokens:
        charge.set(asked.least_tokens)
    return charge


class Lessons:
    """Taken once for each request, on every path."""

    def __init__(self, fleet: Fleet, owners: ResponseOwners, instruments: Instruments) -> None:
        self._fleet = fleet
        self._owners = owners
        self._instruments = instruments

    def take(self, exchange: Exchange, asked: Asked, charge: Charge | None, answered: Attempt | None) -> Lesson:
        """Charge the client, and learn from the attempt that was answered; None where none was. Never raises."""
        try:
            usage = self._settle(exchange, asked, charge) if charge is not None else None
            if answered is None or asked.request is None or exchange.status >= ERROR_STATUS:
                return Lesson(usage)
            return self._learn(exchange, answered, asked.request, usage)
        except Exception as error:
            worker = answered.worker.id if answered is not None else ""
            self._instruments.learn_skipped.add(1, (worker,))
            log.error("an answer of worker %s taught nothing", worker, exc_info=without_text(error))
            return Lesson()

    def _settle(self, exchange: Exchange, asked: Asked, charge: Charge) -> Usage | None:
        """What its client pays, on every path: what the engine reports, else what was expected; nothing where there
        was no answer, unless it was the client that did not wait for it."""
        if exchange.status >= ERROR_STATUS or not (exchange.started or exchange.client_gone):
            charge.set(0)
            return None
        usage = exchange.answer.usage()
        paid = usage.paid_for(len(asked.body or b"")) if usage is not None else None
        if asked.request is None:
            if usage is not None and paid is not None:
                charge.set(max(0, paid - (usage.cached_tokens or 0)))
            return None
        self._settle_prompt(charge, usage, paid)
        return usage

    def _settle_prompt(self, charge: Charge, usage: Usage | None, paid: int | None) -> None:
        tokens = charge.tokens if paid is None else paid
        if usage is not None and paid is not None and usage.cached_tokens is not None:
            charge.set(max(0, paid - usage.cached_tokens))
        label = (charge.client.label,)
        self._instruments.client_prompt_tokens.add(tokens, label)
        self._instruments.client_uncached_tokens.add(charge.tokens, label)
        self._instruments.client_completion_tokens.add((usage and usage.completion_tokens) or 0, label)

    def _learn(self, exchange: Exchange, answered: Attempt, request: Request, usage: Usage | None) -> Lesson:
        asked, worker, record = answered.asked, answered.worker, answered.record
        if exchange.api == "responses":
            self._owners.learn(exchange.answer.head, worker)
        if record is None:
            return Lesson(usage)
        calls = asked.turn is not None and exchange.answer.calls_tool()
        if asked.turn is not None:
            counts = (usage.completion_tokens, usage.cached_tokens) if usage is not None else (None, None)
            asked.turn.learn(calls, *counts)
        lesson = Lesson(usage, record.prompt.tokens, calls)
        label = (worker.id,)
        self._instruments.prompts.add(1, (answered.choice.source,))
        self._instruments.prompt_tokens.add(record.prompt.tokens, label)
        if usage is None or usage.prompt_tokens is None:
            self._instruments.learn_skipped.add(1, label)
            record.finished(None)
            return lesson
        record.finished(None if worker.events_complete else usage.completion_tokens)  # events tell of answers too
        asked.encoders[answered.choice.format].observe(request, usage.prompt_tokens)
        if record.prompt.exact and record.prompt.tokens != usage.prompt_tokens:
            self._instruments.token_mismatches.add(1, (asked.model,))
        self._compare(asked.client, answered, record, usage)
        return lesson

    def _compare(self, client: Client | None, answered: Attempt, record: PromptRecord, usage: Usage) -> None:
        """What was predicted to be cached, against what was."""
        worker = answered.worker
        instruments, label = self._instruments, (worker.id,)
        prompt_tokens, cached_tokens = usage.prompt_tokens, usage.cached_tokens
        if prompt_tokens is None or cached_tokens is None or not record.prompt.teachable:
            instruments.learn_skipped.add(1, label)
            return
        predicted = record.predicted_tokens
        instruments.reported_prompt_tokens.add(prompt_tokens, label)
        instruments.predicted_cached_tokens.add(predicted, label)
        instruments.cached_tokens.add(cached_tokens, label)
        instruments.overpredicted_tokens.add(max(0, predicted - cached_tokens), label)
        self._fleet.reported(worker, _report_of(client, answered.lease, record, usage))


def _report_of(client: Client | None, lease: Lease, record: PromptRecord, usage: Usage) -> CacheReport:
    """What an engine's usage says of the prompt of `record`."""
    prompt, cached = record.prompt, usage.cached_tokens or 0
    return CacheReport(
        start=prompt.chain[:HASH_BYTES],
        start_tokens=prompt.block_tokens,
        client="" if client is None or client.label == ANONYMOUS else client.label,
        predicted_tokens=record.predicted_tokens,
        cached_tokens=cached,
        written_tokens=max(0, (usage.prompt_tokens or 0) - cached) + max(0, usage.completion_tokens or 0),
        chain=prompt.chain if prompt.exact else b"",
        computed_tokens=max(0, (usage.prompt_tokens or 0) - cached),
        alone_s=lease.alone_s,
    )
