"""The exact tokens of a prompt that went out on an estimate: encoded, or asked of its worker, after dispatch.

Nothing here delays the request. The attempt's record hears of the tokens, or that they will not be known.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from router.fleet.worker import Worker
from router.prompts.ask import TokenAsker
from router.prompts.encoders import worker_ids_encoder_of
from router.prompts.encoding import INLINE_BYTES, EncodePool, Encoder
from router.prompts.recall import Recall
from router.relay.attempt import Attempt
from router.routing.prompt_record import PromptRecord
from tokenizer_cache.bodies.reader import LONG_BYTES
from tokenizer_cache.bodies.request import Request
from tokenizer_cache.prompt import Prompt
from tokenizer_cache.worker_ids import WorkerIdsEncoder

MIN_PREFILL_S = 0.05


class _Sent(NamedTuple):
    """A prompt whose request was dispatched."""

    request: Request
    record: PromptRecord
    encoder: Encoder
    worker: Worker


class LateTokens:
    """Completes the records of prompts whose requests were dispatched."""

    def __init__(self, pool: EncodePool, asker: TokenAsker, recall: Recall | None) -> None:
        self._pool = pool
        self._asker = asker
        self._recall = recall
        self._loop = asyncio.get_running_loop()

    def follow(self, attempt: Attempt) -> None:
        """The request goes to its worker in this turn of the loop."""
        record, request = attempt.record, attempt.asked.request
        if record is None or request is None:
            return
        if not request.stream:
            seconds = max(MIN_PREFILL_S, attempt.choice.prefill_s)
            attempt.lease.on_end = self._loop.call_later(seconds, attempt.computed).cancel
        if record.settled:
            record.dispatched()
            return
        sent = _Sent(request, record, attempt.asked.encoders[attempt.choice.format], attempt.worker)
        if record.prompt.ask:
            record.dispatched()
            self._ask(sent)
        elif sent.encoder.tail_bytes(request) > INLINE_BYTES:
            self._encode_later(sent)
        else:
            # Two turns of the loop: in the first the request's bytes are written, so the worker does not wait for us.
            self._loop.call_soon(self._loop.call_soon, self._encode_now, sent)

    def _encode_now(self, sent: _Sent) -> None:
        encoded = sent.encoder.encode_briefly(sent.request)
        if encoded is not None:
            self._encoded(sent, encoded)
        else:
            self._encode_later(sent)

    def _encode_later(self, sent: _Sent) -> None:
        sent.record.dispatched()
        self._pool.submit(sent.encoder, sent.request, partial(self._encoded, sent))

    def _encoded(self, sent: _Sent, prompt: Prompt | None) -> None:
        if prompt is None:
            sent.record.unknown()
        elif prompt.ask:
            self._ask(sent)
        else:
            if self._recall is not None:
                self._recall.check(sent.encoder, sent.request, prompt)
            sent.record.encoded(prompt)

    def _ask(self, sent: _Sent) -> None:
        """Ask the worker for the ids of a prompt that cannot be exact here; without an answer the prompt is text."""
        encoder = worker_ids_encoder_of(sent.encoder)
        if encoder is not None:
            self._asker.ask(sent.worker, sent.request, partial(self._have_ids, sent, encoder))

    def _have_ids(self, sent: _Sent, encoder: WorkerIdsEncoder, ids: Sequence[int] | None) -> None:
        request = sent.request
        learn = partial(encoder.as_text, request) if ids is None else partial(encoder.learn, request, ids)
        if max(len(request.body), len(ids or ())) <= LONG_BYTES:
            self._encoded(sent, learn())
        else:
            self._pool.run((id(encoder), request.digest), learn, partial(self._encoded, sent))
