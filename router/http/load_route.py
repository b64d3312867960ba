"""Requests without a prompt prefix worth finding: embeddings, audio, tokenize, and the paths that the operator added.

They go to the least loaded worker of the named model (any worker where none is named), counted by the same leases.
What a model computes for them is charged to a client with a limit on tokens: as much as the body may hold at first,
then what the engine reports.
"""

from collections.abc import Collection
from functools import partial

import msgspec

from router.clients import Charge, Client
from router.fleet.groups import ModelGroup
from router.fleet.lease import Lease
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.prompts.reading import Reading
from router.relay.relay import Choice, Relay
from router.routing.decide import Decider, NoWorkerError
from router.routing.owners import ResponseOwners
from router.wire.errors import ApiError
from router.wire.exchange import Exchange
from router.wire.forms import form_fields
from router.wire.limits import limit_error, model_error
from router.wire.rights import ADAPTER_FIELDS, check_fields, check_unread
from router.wire.routes import COMPUTED_ENDPOINTS, FORM_ENDPOINTS, RESPONSE_ID
from tokenizer_cache.prompt import BadRequest

TEXT_BYTES_PER_TOKEN = 4
AUDIO_BYTES_PER_TOKEN = 64
"""Of speech, uncompressed, engines make a token of about 640 bytes; compressed it is down to a tenth."""


class _Named(msgspec.Struct):
    model: str | None = None


class LoadRoute:
    """Everything that is routed by load alone."""

    def __init__(self, fleet: Fleet, decider: Decider, relay: Relay, owners: ResponseOwners, reading: Reading) -> None:
        self._fleet = fleet
        self._decider = decider
        self._relay = relay
        self._owners = owners
        self._reading = reading

    async def serve(self, exchange: Exchange, body: bytes | None) -> None:
        """Answer one request to a path that `Paths` has let through. Raises ApiError."""
        stored = RESPONSE_ID.fullmatch(exchange.path)
        model = None if stored else await self._model(exchange, body or b"")
        charge = _charge(exchange, body)
        owner = await self._owners.find(stored["id"]) if stored else None
        group = self._group(exchange, model)
        exchange.group = group if owner is None else None

        async def choose(failed: Collection[Worker]) -> Choice:
            if owner is not None:
                if owner in failed or not owner.available():
                    raise NoWorkerError
                exchange.reason = "owner"
                return Choice(owner, Lease(owner, 0, 0), None, 0.0)
            sight = await self._decider.look(group, {}, failed)
            decision = self._decider.choose(sight, {}, exchange.headers.session)
            exchange.reason = decision.selection.reason
            exchange.candidates = len(decision.candidates)
            return Choice(decision.worker, Lease(decision.worker, 0, 0), None, 0.0)

        try:
            await self._relay.run(exchange, body, choose, lambda choice: None)
        finally:
            if charge is not None:
                _settle(exchange, charge, len(body or b""))

    async def _model(self, exchange: Exchange, body: bytes) -> str | None:
        """The model that a body names. Bodies that cannot be read are left to the worker. Raises ApiError for bad JSON,
        for a form with two models, for a model that the client may not use, and where that cannot be checked."""
        client, content_type = exchange.client, exchange.headers.content_type
        if client is not None and exchange.endpoint == "other":
            check_unread(client)
        if exchange.path in FORM_ENDPOINTS:
            model = _model_of_form(await form_fields(content_type, body) or []) if body else None
            _check_model(client, model)
            return model
        if not body or (b"json" not in content_type and body.lstrip()[:1] != b"{"):
            _check_model(client, None)
            return None
        try:
            return await self._reading.decode(body, partial(_model_of_json, client), max_items=len(body))
        except BadRequest as error:
            raise ApiError(400, error.message, "invalid_request", error.param) from None

    def _group(self, exchange: Exchange, model: str | None) -> ModelGroup:
        if model is None:
            return self._fleet.everyone
        group = self._fleet.group(model)
        if group is None:
            raise ApiError(404, "The model does not exist here.", "model_not_found", "model")
        exchange.model = model
        return group


def _check_model(client: Client | None, model: str | None) -> None:
    if client is not None and client.spec.models is not None and (model is None or not client.may_use(model)):
        raise model_error(client)


def _charge(exchange: Exchange, body: bytes | None) -> Charge | None:
    """Take what the body may hold from the client's tokens. Raises ClientError when they are used up."""
    client = exchange.client
    if client is None or client.tokens is None or exchange.path not in COMPUTED_ENDPOINTS:
        return None
    if refusal := client.check_tokens():
        raise limit_error(client, refusal)
    charge = Charge(client)
    per_token = AUDIO_BYTES_PER_TOKEN if exchange.path in FORM_ENDPOINTS else TEXT_BYTES_PER_TOKEN
    charge.set(1 + len(body or b"") // per_token)
    return charge


def _settle(exchange: Exchange, charge: Charge, body_bytes: int) -> None:
    """What the engine reports, else what was taken; nothing where there was no answer, unless it was the client that
    did not wait for it."""
    if exchange.status >= 400 or not (exchange.started or exchange.client_gone):
        charge.set(0)
        return
    usage = exchange.answer.usage()
    if usage is not None and (tokens := usage.paid_for(body_bytes)) is not None:
        charge.set(max(0, tokens - (usage.cached_tokens or 0)))


def _model_of_json(client: Client | None, body: bytes) -> str | None:
    try:
        model = msgspec.json.decode(body, type=_Named).model
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ApiError(400, "The request body is not valid JSON.", "invalid_json") from None
    _check_model(client, model)
    if client is not None:
        check_fields(client, body)
    return model


def _model_of_form(fields: list[tuple[str, str]]) -> str | None:
    found = [value for name, value in fields if name == "model"]
    if len(found) > 1 or any(name in ADAPTER_FIELDS for name, _ in fields):
        raise ApiError(400, "A form names one model, once, as the field `model`.", "invalid_request", "model")
    return found[0] if found else None
