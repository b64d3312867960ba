"""Requests without a prompt prefix worth finding: embeddings, audio, tokenize, and any other path that a worker serves.

They go to the least loaded worker of the named model (any worker where none is named), counted by the same leases.
"""

import re
from collections.abc import Collection

import msgspec

from router.decide import Decider, NoWorkerError
from router.groups import ModelGroup
from router.http.errors import ApiError
from router.http.exchange import Exchange
from router.http.limits import ClientError, model_error
from router.http.relay import Choice, Relay
from router.http.routes import RESPONSE_ID, WORKER_CONTROL
from router.http.sticky import ResponseOwners
from router.lease import Lease
from router.workers import Fleet, Worker

_FORM_MODEL = re.compile(rb'name="?model"?\r\n(?:[^\r\n]{1,256}\r\n){0,4}\r\n([^\r\n]{1,256})\r\n')
FORM_ENDS_BYTES = 65536
"""How far from either end of a form its model is looked for: the file between them may be large."""


class _Named(msgspec.Struct):
    model: str | None = None


class LoadRoute:
    """Everything that is routed by load alone."""

    def __init__(self, fleet: Fleet, decider: Decider, relay: Relay, owners: ResponseOwners) -> None:
        self._fleet = fleet
        self._decider = decider
        self._relay = relay
        self._owners = owners

    async def serve(self, exchange: Exchange, body: bytes | None) -> None:
        """Answer one request. Raises ApiError."""
        if WORKER_CONTROL.match(exchange.path):
            raise ApiError(403, "Worker control paths are not relayed: talk to the worker itself.", "forbidden_path")
        stored = RESPONSE_ID.match(exchange.path)
        model = None if stored else _model_of(exchange, body)
        if not stored:
            _check_rights(exchange, model)
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

        await self._relay.run(exchange, body, choose, lambda choice: None)

    def _group(self, exchange: Exchange, model: str | None) -> ModelGroup:
        if model is None:
            return self._fleet.everyone
        group = self._fleet.group(model)
        if group is None:
            raise ApiError(404, "The model does not exist here.", "model_not_found", "model")
        exchange.model = model
        return group


def _check_rights(exchange: Exchange, model: str | None) -> None:
    """Raises ClientError for a path on which what the client may do cannot be checked, or a model it may not use."""
    client = exchange.client
    if client is None:
        return
    if client.spec.models is not None and (model is None or model not in client.spec.models):
        raise model_error(client)
    if client.spec.cache_salt and exchange.endpoint == "other":
        message = f"{client.label} has a cache of its own, which this path cannot keep apart."
        raise ClientError(403, message, "path_not_allowed", "path")


def _model_of(exchange: Exchange, body: bytes | None) -> str | None:
    """The model that a JSON or multipart body names. Bodies that cannot be read are left to the worker."""
    if not body:
        return None
    content_type = exchange.headers.content_type
    if content_type.startswith(b"multipart/"):
        found = _FORM_MODEL.search(body, 0, FORM_ENDS_BYTES) or _FORM_MODEL.search(body, len(body) - FORM_ENDS_BYTES)
        return found[1].decode("utf-8", "replace").strip() if found else None
    if b"json" not in content_type and body.lstrip()[:1] != b"{":
        return None
    try:
        return msgspec.json.decode(body, type=_Named).model
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ApiError(400, "The request body is not valid JSON.", "invalid_json") from None
