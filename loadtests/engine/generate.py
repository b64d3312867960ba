"""The generating routes: read the call, run its jobs on the engine, answer whole or as a stream."""

import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loadtests.engine.calls import Call, CallReader
from loadtests.engine.driver import Engine, Generation
from loadtests.engine.errors import Refused
from loadtests.engine.event_replies import MessagesReply, ResponsesReply
from loadtests.engine.exchange import EVENTS, Cut, Exchange
from loadtests.engine.faults import NO_FAULT
from loadtests.engine.replies import ChatReply, CompletionReply, Reply
from loadtests.engine.settings import Settings

_REPLIES: Mapping[str, Callable[[Call], Reply]] = {
    "chat": ChatReply,
    "completions": CompletionReply,
    "messages": MessagesReply,
    "responses": ResponsesReply,
}
MAX_STORED = 1000


@dataclass(frozen=True, slots=True)
class Generating:
    """Answers prompts. Keeps finished responses in memory, as an engine does, so that they die with it."""

    settings: Settings
    engine: Engine
    reader: CallReader
    stored: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict)

    async def generate(self, api: str, exchange: Exchange) -> None:
        """Answer one generating request. Raises Refused before the answer has begun, Cut when it cannot go on."""
        body = exchange.json()
        model = self.settings.check_model(body)
        if api == "responses":
            body = self._continued(body)
        request_id = exchange.header(b"x-request-id") or body.get("request_id") or uuid.uuid4().hex
        call = await self.reader.read(api, body, model, str(request_id))
        try:
            generation = self.engine.submit([choice.job for choice in call.choices])
        except ValueError as error:
            raise Refused(400, str(error)) from error
        exchange.connection.on_lost = lambda: self.engine.abort(generation)
        if exchange.connection.is_lost:
            self.engine.abort(generation)
        try:
            await self._answer(exchange, call, generation, _REPLIES[api](call))
        finally:
            exchange.connection.on_lost = None
            self.engine.abort(generation)

    def retrieve(self, exchange: Exchange) -> bytes:
        """`GET /v1/responses/{id}`."""
        return self._stored(exchange.path.rpartition("/")[2])["body"]  # type: ignore[no-any-return]

    async def _answer(self, exchange: Exchange, call: Call, generation: Generation, reply: Reply) -> None:
        last = b""
        if call.stream:
            await exchange.start(200, EVENTS)
            await exchange.chunk(reply.early())
            last = await _stream(exchange, call, generation, reply)
        else:
            while await generation.news():
                pass
        if generation.lost:
            if not exchange.connection.is_lost:
                await exchange.connection.close()
            raise Cut
        if isinstance(reply, ResponsesReply) and call.body.get("store") is not False:
            self._store(call, reply)
        if call.stream:
            await exchange.end(last + reply.closing())
        else:
            await exchange.answer(200, reply.whole())

    def _store(self, call: Call, reply: ResponsesReply) -> None:
        response = reply.response("completed")
        said = call.body["input"]
        items = [{"role": "user", "content": said}] if isinstance(said, str) else said
        self.stored[reply.content_id] = {"body": reply.whole(), "items": [*items, *response["output"]]}
        if len(self.stored) > MAX_STORED:
            self.stored.popitem(last=False)

    def _continued(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body with the items of `previous_response_id` before its own. Raises Refused(404)."""
        previous, said = body.get("previous_response_id"), body.get("input")
        if not isinstance(said, str | list):
            raise Refused(400, "input must be a string or a list of items", "input")
        if previous is None:
            return body
        items = [{"role": "user", "content": said}] if isinstance(said, str) else said
        return {**body, "input": [*self._stored(str(previous))["items"], *items]}

    def _stored(self, response_id: str) -> dict[str, Any]:
        try:
            return self.stored[response_id]
        except KeyError:
            raise Refused(404, f"Response with id '{response_id}' not found.") from None


async def _stream(exchange: Exchange, call: Call, generation: Generation, reply: Reply) -> bytes:
    """A chunk per token, when it is made. Those that are ready together travel together, unless a fault counts them.
    The last ones are returned: they travel with the end."""
    choices = {id(choice.job): choice for choice in call.choices}
    begun = False
    while news := await generation.news():
        frames = [] if begun else [reply.opening()]
        begun = True
        for progress in news:
            choice = choices[id(progress.job)]
            for _ in range(progress.tokens):
                frames.append(reply.delta(choice))
                choice.sent += 1
        if exchange.fault is not NO_FAULT:
            for frame in frames:
                await exchange.chunk(frame)
        elif generation.ended:
            return b"".join(frames)
        else:
            await exchange.chunk(b"".join(frames))
    return b""
