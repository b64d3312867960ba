"""Requests without a prompt prefix worth finding: embeddings, audio, tokenize, and the paths that the operator added.

They go to the least loaded worker of the named model (any worker where none is named), counted by the same leases.
What a model computes for them is charged to a client with a limit on tokens: as much as the body may hold at first,
then what the engine reports.
"""

from functools import partial

import msgspec

from router.clients import Client
from router.fleet.groups import ModelGroup
from router.fleet.workers import Fleet
from router.prompts.reading import Reading
from router.routing.asked import Asked
from router.wire.errors import ApiError
from router.wire.exchange import Exchange
from router.wire.forms import form_fields
from router.wire.limits import model_error
from router.wire.rights import ADAPTER_FIELDS, check_fields, check_unread
from router.wire.routes import COMPUTED_ENDPOINTS, FORM_ENDPOINTS, RESPONSE_ID
from tokenizer_cache.prompt import BadRequest

TEXT_BYTES_PER_TOKEN = 4
AUDIO_BYTES_PER_TOKEN = 64
"""Of speech, uncompressed, engines make a token of about 640 bytes; compressed it is down to a tenth."""


class _Named(msgspec.Struct):
    model: str | None = None


class LoadRoute:
    """The routes that go by load alone."""

    def __init__(self, fleet: Fleet, reading: Reading) -> None:
        self._fleet = fleet
        self._reading = reading

    async def read(self, exchange: Exchange, body: bytes) -> Asked:
        """What is asked, on a path that `Paths` has let through. Raises ApiError."""
        stored, client = RESPONSE_ID.fullmatch(exchange.path), exchange.client
        model = None if stored else await self._model(exchange, body)
        return Asked(
            group=self._group(model),
            model=model or "",
            body=body or None,
            client=client,
            session=exchange.headers.session,
            response_id=stored["id"] if stored else "",
            charged=client is not None and client.tokens is not None and exchange.path in COMPUTED_ENDPOINTS,
            least_tokens=_least_tokens(exchange, body),
        )

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

    def _group(self, model: str | None) -> ModelGroup:
        group = self._fleet.everyone if model is None else self._fleet.group(model)
        if group is None:
            raise ApiError(404, "The model does not exist here.", "model_not_found", "model")
        return group


def _check_model(client: Client | None, model: str | None) -> None:
    if client is not None and client.spec.models is not None and (model is None or not client.may_use(model)):
        raise model_error(client)


def _least_tokens(exchange: Exchange, body: bytes) -> int:
    """What the body may hold: taken at first, until the engine reports."""
    per_token = AUDIO_BYTES_PER_TOKEN if exchange.path in FORM_ENDPOINTS else TEXT_BYTES_PER_TOKEN
    return 1 + len(body) // per_token


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
