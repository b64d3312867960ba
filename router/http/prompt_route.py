"""Requests with a prompt: read it, recognise it, choose the worker that holds most of it for the least wait, and learn.

The decision does not wait for the encoder: what is known of the conversation is exact at once, the unseen tail is
estimated, and encoded after dispatch. Only a prompt of which nothing is known waits for it, a few milliseconds.
"""

import asyncio
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from router.clients import Charge, Client
from router.fleet.groups import ModelGroup
from router.fleet.lease import Lease
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.http.lessons import Lessons
from router.observe.metrics import Instruments
from router.prefix.index import PrefixIndex
from router.prompts.ask import TokenAsker
from router.prompts.encoders import EncoderSet, worker_ids_encoder_of
from router.prompts.encoding import INLINE_BYTES, EncodePool, Encoder
from router.prompts.forward_ids import body_with_ids, write_ids
from router.prompts.reading import Reading
from router.prompts.recall import Recall
from router.relay.relay import Choice, Relay
from router.routing.decide import Decider, Decision, NoWorkerError, prefix_of
from router.routing.owners import ResponseOwners
from router.routing.prompt_record import Passage
from router.routing.saturation import saturated
from router.routing.waiting_room import Verdict, WaitingRoom
from router.wire.errors import ApiError
from router.wire.exchange import Exchange
from router.wire.limits import limit_error, model_error
from router.wire.rights import check_fields, check_transfers
from tokenizer_cache.prompt import BadRequest, Prompt
from tokenizer_cache.reader import LONG_BYTES, Reader
from tokenizer_cache.request import Request
from tokenizer_cache.splice import with_field

ENCODE_WAIT_SHARE = 0.1
"""For how long such a prompt waits: at most this share of the time in which a worker prefills what is unknown. For
36,000 tokens at 8,000 a second it is 0.45 s, of which the encoder needs about 0.06. The wait is repaid by one hit in
ten. Danger: with 0, what is shared with other prompts is not found where it is longest."""
MIN_KNOWN_SHARE = 0.5
"""Below this share of known tokens, a long prompt waits for the encoder while that is cheap."""


class Asked(msgspec.Struct):
    """One request as it was read: its group, and its prompt in each format that the group's workers use."""

    request: Request
    group: ModelGroup
    encoders: Mapping[str, Encoder]
    prompts: dict[str, Prompt]
    charge: Charge | None = None
    """What it takes of its client's tokens."""


@dataclass(frozen=True, slots=True)
class PromptTools:
    """What the route works with."""

    fleet: Fleet
    decider: Decider
    index: PrefixIndex
    reader: Reader
    encoders: EncoderSet
    pool: EncodePool
    relay: Relay
    owners: ResponseOwners
    room: WaitingRoom
    instruments: Instruments
    asker: TokenAsker
    recall: Recall | None


class PromptRoute:
    """The four prompt APIs."""

    def __init__(
        self,
        tools: PromptTools,
        policy_name: str,
        forward_ids: bool = False,
        encode_wait_share: float = ENCODE_WAIT_SHARE,
    ) -> None:
        self._fleet = tools.fleet
        self._decider = tools.decider
        self._index = tools.index
        self._reading = Reading(tools.reader, tools.pool)
        self._encoders = tools.encoders
        self._pool = tools.pool
        self._relay = tools.relay
        self._owners = tools.owners
        self._room = tools.room
        self._bound_s = tools.room.limits.bound_s
        self._instruments = tools.instruments
        self._lessons = Lessons(tools.fleet, tools.owners, tools.instruments)
        self._asker = tools.asker
        self._recall = tools.recall
        self.policy_name = policy_name
        self._encode_wait_share = encode_wait_share
        self._forward_ids = forward_ids
        self._loop = asyncio.get_running_loop()

    async def serve(self, exchange: Exchange, body: bytes) -> None:
        """Answer one request. Raises ApiError."""
        client = exchange.client
        asked = await self.ask(exchange.api, body, client)
        request = asked.request
        exchange.model = request.model
        if client is not None:
            if refusal := client.check_tokens():
                raise limit_error(client, refusal)
            asked.charge = Charge(client)
        exchange.stream = request.stream
        owner = await self._owner(request)
        exchange.group = asked.group if owner is None else None
        await self.wait_for_unknown(asked)
        if self._forward_ids:
            for prompt in asked.prompts.values():
                await write_ids(request, prompt)
        choices: list[Choice] = []

        async def choose(failed: Collection[Worker]) -> Choice:
            choices.append(await self._choose(exchange, asked, failed, owner))
            return choices[-1]

        def dispatched(choice: Choice) -> None:
            self._dispatched(asked, choice, exchange)

        answered = False
        try:
            await self._relay.run(exchange, request.body, choose, dispatched)
            answered = True
        finally:
            self._lessons.take(exchange, asked, choices[-1] if answered else None)

    async def ask(self, api: str, body: bytes, client: Client | None = None) -> Asked:
        """Read the request and recognise its prompt. Raises ApiError 400, 403 or 404."""
        try:
            if client is not None and (client.spec.models is not None or client.spec.cache_salt):
                body = await self._reading.decode(body, partial(_for_client, client))
            request = await self._reading.read(api, body)
        except BadRequest as error:
            raise ApiError(400, error.message, "invalid_request", error.param) from None
        check_transfers(request.fields)
        if client is not None and not client.may_use(request.model):
            raise model_error(client)
        group = self._fleet.group(request.model)
        if group is None:
            raise self._unknown_model(client)
        encoders = self._encoders.of(group)
        return Asked(request, group, encoders, await self._reading.recognise(request, encoders))

    async def decide(self, asked: Asked, session: bytes, excluded: Collection[Worker] = ()) -> Decision:
        """Look and choose. Raises NoWorkerError."""
        sight = await self._decider.look(asked.group, asked.prompts, excluded)
        return self._decider.choose(sight, asked.prompts, session)

    async def explain(self, asked: Asked) -> tuple[Decision, list[float]]:
        """What would be decided, and every candidate's cost. Raises NoWorkerError."""
        decision = await self.decide(asked, b"")
        return decision, self._decider.costs(decision, asked.prompts)

    def _unknown_model(self, client: Client | None) -> ApiError:
        if not self._fleet.groups:
            return ApiError(503, "No worker has reported yet which models it serves.", "no_worker", retry_after_s=1)
        names = [name for name in self._fleet.groups if client is None or client.may_use(name)]
        served = ", ".join(sorted(names)[:20])
        return ApiError(404, f"The model does not exist here. Served: {served}.", "model_not_found", "model")

    async def _owner(self, request: Request) -> Worker | None:
        if not request.previous_response_id:
            return None
        return await self._owners.find(request.previous_response_id)

    async def wait_for_unknown(self, asked: Asked) -> None:
        """Wait where deciding now would be blind, for as long as that is cheap, so that what is shared with other
        prompts, or was sent through another router, matches: for what other routers know, else for the encoder."""
        for name, prompt in list(asked.prompts.items()):
            encoder = asked.encoders[name]
            if prompt.exact or prompt.ask or prompt.source == "text":
                continue
            if encoder.tail_bytes(asked.request) <= INLINE_BYTES:
                if not self._forward_ids and _is_known(prompt):
                    continue
                if (encoded := encoder.encode_briefly(asked.request)) is not None:
                    asked.prompts[name] = encoded
                    continue
            if self._recall is not None:
                asked.prompts[name] = await self._recall.find(encoder, asked.request, prompt, self._pool)
            if self._encode_wait_share > 0 and not _is_known(asked.prompts[name]):
                await self._wait(asked, name)

    async def _wait(self, asked: Asked, name: str) -> None:
        limit_s = self._encode_wait_share * _prefill_s(asked, name)
        arrived = asyncio.Event()
        self._pool.submit(asked.encoders[name], asked.request, _arrival(asked.prompts, name, arrived))
        try:
            async with asyncio.timeout(limit_s):
                await arrived.wait()
        except TimeoutError:
            self._instruments.degraded.add(1, ("encoding",))

    async def _choose(
        self, exchange: Exchange, asked: Asked, failed: Collection[Worker], owner: Worker | None
    ) -> Choice:
        if owner is not None:
            exchange.reason = "owner"
            choice = self._at_owner(asked, owner, failed)
            if asked.charge is not None:
                asked.charge.set(choice.lease.prompt_tokens)
            return choice
        decision = await self.decide(asked, exchange.headers.session, failed)
        if self._bound_s and not failed and self._must_wait(asked, decision, exchange.clock()):
            decision = await self._wait_for_place(exchange, asked)
        worker, selection = decision.worker, decision.selection
        exchange.candidates = len(decision.candidates)
        exchange.reason = selection.reason
        self._instruments.decisions.add(1, (self.policy_name, selection.reason))
        candidate = selection.candidate
        name = worker.format
        prompt = asked.prompts.get(name)
        if prompt is None:
            return Choice(worker, Lease(worker, 0, 0), None, 0.0)
        exchange.source = prompt.source
        if prompt.source == "text":
            self._instruments.degraded.add(1, ("text",))
        exchange.predicted_cached = candidate.cached_tokens
        if asked.charge is not None:
            asked.charge.set(candidate.uncached_tokens)
        lease = Lease(worker, prompt.tokens, candidate.uncached_tokens, asked.request.stream, prefix_of(prompt))
        passage = Passage(self._index, worker.holder, prompt, candidate.cached_tokens)
        prefill_s = (candidate.queued_tokens + candidate.uncached_tokens) / candidate.prefill_rate
        body = body_with_ids(asked.request, prompt, worker.facts) if self._forward_ids else None
        if body is not None:
            self._instruments.forwarded_ids.add(1, (exchange.model,))
        return Choice(worker, lease, passage, prefill_s, body, name)

    def _must_wait(self, asked: Asked, decision: Decision, now: float) -> bool:
        """Is every worker saturated, or does another request wait already? A request that is tried again never
        waits."""
        return self._room.crowded(asked.group.name) or saturated(decision, self._bound_s, now)

    async def _wait_for_place(self, exchange: Exchange, asked: Asked) -> Decision:
        """Wait for a place, and decide when there is one: workers may have come and gone meanwhile."""

        async def decide() -> Decision:
            asked.group = exchange.group = self._fleet.group(asked.request.model) or asked.group
            return await self.decide(asked, exchange.headers.session)

        def judge(decision: Decision) -> Verdict:
            full = saturated(decision, self._bound_s, exchange.clock())
            return Verdict(not full, decision.selection.candidate.uncached_tokens)

        assert exchange.client is not None
        began = exchange.clock()
        try:
            return await self._room.wait(exchange.client, asked.group.name, decide, judge)
        finally:
            exchange.queued_s = exchange.clock() - began

    @staticmethod
    def _at_owner(asked: Asked, owner: Worker, failed: Collection[Worker]) -> Choice:
        if owner in failed or not owner.available():
            raise NoWorkerError
        prompt = asked.prompts.get(owner.format)
        tokens = prompt.tokens if prompt is not None else 0
        return Choice(owner, Lease(owner, tokens, 0), None, 0.0)

    # After dispatch -----------------------------------------------------------------------------------------------

    def _dispatched(self, asked: Asked, choice: Choice, exchange: Exchange) -> None:
        passage = choice.passage
        if passage is None:
            return
        if not asked.request.stream:
            handle = self._loop.call_later(max(0.05, choice.prefill_s), choice.computed)
            choice.lease.on_end = handle.cancel
        if passage.settled:
            passage.dispatched()
            return
        encoder = asked.encoders[choice.format]
        if asked.prompts[choice.format].ask:
            passage.dispatched()
            self._ask_for_ids(asked, choice)
            return
        if encoder.tail_bytes(asked.request) > INLINE_BYTES:
            self._encode_later(encoder, asked, choice, passage)
            return
        # Two turns of the loop: in the first the request's bytes are written, so the worker does not wait for us.
        self._loop.call_soon(self._loop.call_soon, self._encode_now, encoder, asked, choice, passage)

    def _encode_later(self, encoder: Encoder, asked: Asked, choice: Choice, passage: Passage) -> None:
        passage.dispatched()
        self._pool.submit(encoder, asked.request, lambda prompt: self._encoded(asked, choice, prompt))

    def _encode_now(self, encoder: Encoder, asked: Asked, choice: Choice, passage: Passage) -> None:
        prompt = asked.prompts[choice.format]
        encoded = prompt if prompt.exact else encoder.encode_briefly(asked.request)  # a retry may find it done
        if encoded is not None:
            self._encoded(asked, choice, encoded)
        else:
            self._encode_later(encoder, asked, choice, passage)

    def _encoded(self, asked: Asked, choice: Choice, prompt: Prompt | None) -> None:
        passage = choice.passage
        if passage is None:
            return
        if prompt is None:
            passage.unknown()
        elif prompt.ask:
            self._ask_for_ids(asked, choice)
        else:
            if self._recall is not None:
                self._recall.check(asked.encoders[choice.format], asked.request, prompt)
            asked.prompts[choice.format] = prompt
            passage.encoded(prompt)

    def _ask_for_ids(self, asked: Asked, choice: Choice) -> None:
        """Ask the worker for the ids of a prompt that cannot be exact here; without an answer the prompt is text."""
        from_workers = worker_ids_encoder_of(asked.encoders[choice.format])
        if from_workers is None:
            return

        request = asked.request

        def done(ids: Sequence[int] | None) -> None:
            learn = partial(from_workers.as_text, request) if ids is None else partial(from_workers.learn, request, ids)
            if max(len(request.body), len(ids or ())) <= LONG_BYTES:
                self._encoded(asked, choice, learn())
            else:
                self._pool.run((id(from_workers), request.digest), learn, partial(self._encoded, asked, choice))

        self._asker.ask(choice.worker, request, done)


def _for_client(client: Client, body: bytes) -> bytes:
    """The body as it may be sent for this client."""
    check_fields(client, body)
    return with_field(body, "cache_salt", client.cache_salt) if client.spec.cache_salt else body


def _is_known(prompt: Prompt) -> bool:
    return prompt.known_blocks * prompt.block_tokens >= prompt.tokens * MIN_KNOWN_SHARE


def _prefill_s(asked: Asked, name: str) -> float:
    """What computing the prompt's unknown part takes a worker of this format: what is risked by deciding now."""
    prompt = asked.prompts[name]
    tokens = prompt.tokens - prompt.known_blocks * prompt.block_tokens
    rates = (worker.prefill_rate for worker in asked.group.workers if worker.format == name)
    return tokens / max(rates, default=math.inf)  # none is left: nothing is risked


def _arrival(prompts: dict[str, Prompt], name: str, arrived: asyncio.Event) -> Callable[[Prompt | None], None]:
    def done(prompt: Prompt | None) -> None:
        if prompt is not None:
            prompts[name] = prompt
        arrived.set()

    return done
