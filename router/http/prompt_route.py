"""Requests with a prompt: reads the body, finds the workers of its model, and recognises the prompt."""

from functools import partial

from msgspec.structs import replace

from router.clients import Client
from router.fleet.groups import ModelGroup
from router.fleet.workers import Fleet
from router.prompts.encoders import EncoderSet
from router.prompts.reading import Reading
from router.routing.asked import Asked
from router.routing.priority import level_of
from router.sessions.recognition.hints import HintReader, with_header
from router.wire.errors import ApiError
from router.wire.exchange import Exchange
from router.wire.limits import model_error
from router.wire.rights import check_fields, check_transfers
from tokenizer_cache.bodies.request import Request
from tokenizer_cache.bodies.splice import with_field
from tokenizer_cache.prompt import BadRequest


class PromptRoute:
    """The four prompt APIs."""

    def __init__(self, fleet: Fleet, reading: Reading, encoders: EncoderSet, hints: HintReader) -> None:
        self._fleet = fleet
        self._reading = reading
        self._encoders = encoders
        self._hints = hints

    async def read(self, exchange: Exchange, body: bytes) -> Asked:
        """The request as it was read. Raises ApiError."""
        asked, headers = await self.ask(exchange.api, body, exchange.client), exchange.headers
        assert asked.request is not None
        said = with_header(headers.forward, headers.session)
        label = "" if asked.client is None else asked.client.label
        hint = self._hints.read(label, asked.group.name, said, asked.request.fields)
        level = level_of(headers.priority, asked.request.fields.priority)
        return replace(asked, session=headers.session, hint=hint, level=level)

    async def ask(self, api: str, body: bytes, client: Client | None = None) -> Asked:
        """Read the request and recognise its prompt. Raises ApiError 400, 403 or 404."""
        request = await self._parse(api, body, client)
        check_transfers(request.fields)
        if client is not None and not client.may_use(request.model):
            raise model_error(client)
        group = self._group(request.model, client)
        encoders = self._encoders.of(group)
        return Asked(
            group=group,
            model=request.model,
            body=request.body,
            client=client,
            stream=request.stream,
            response_id=request.previous_response_id or "",
            charged=True,
            request=request,
            encoders=encoders,
            prompts=await self._reading.recognise(request, encoders),
        )

    async def _parse(self, api: str, body: bytes, client: Client | None) -> Request:
        try:
            if client is not None and (client.spec.models is not None or client.spec.cache_salt):
                body = await self._reading.decode(body, partial(_for_client, client))
            return await self._reading.read(api, body)
        except BadRequest as error:
            raise ApiError(400, error.message, "invalid_request", error.param) from None

    def _group(self, model: str, client: Client | None) -> ModelGroup:
        group = self._fleet.group(model)
        if group is not None:
            return group
        if not self._fleet.groups:
            raise ApiError(503, "No worker has reported yet which models it serves.", "no_worker", retry_after_s=1)
        names = [name for name in self._fleet.groups if client is None or client.may_use(name)]
        served = ", ".join(sorted(names)[:20])
        raise ApiError(404, f"The model does not exist here. Served: {served}.", "model_not_found", "model")


def _for_client(client: Client, body: bytes) -> bytes:
    """The body as it may be sent for this client."""
    check_fields(client, body)
    return with_field(body, "cache_salt", client.cache_salt) if client.spec.cache_salt else body
