"""A vLLM to look at, with a real WebSocket endpoint that echoes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.router.fake_worker import models, vllm
from tests.routers import MODEL


class RealtimeWorker:
    """`url` is its root. Text comes back as it was; "bye" closes, "die" breaks off, "silence" is not answered."""

    def __init__(self) -> None:
        self.routes = {**vllm(), "/v1/models": models(MODEL)}
        self.asked: list[Request] = []
        self.refuse: HTTPStatus | None = None
        self.ended: list[int | None] = []
        """Close codes that it saw, of sessions in the order of their end."""
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["RealtimeWorker"]:
        async with serve(
            self._session, "127.0.0.1", 0, process_request=self._answer, compression=None, ping_interval=None,
            select_subprotocol=lambda connection, offered: offered[0] if offered else None,
        ) as server:  # fmt: skip
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield self

    async def _session(self, connection: ServerConnection) -> None:
        try:
            async for message in connection:
                if message == "die":
                    connection.transport.abort()
                elif message == "bye":
                    await connection.close(4000, "as you wish")
                elif message != "silence":
                    await connection.send(message)
        except ConnectionClosed:
            pass
        finally:
            await connection.wait_closed()
            self.ended.append(connection.close_code)

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == "/v1/realtime":
            self.asked.append(request)
            await asyncio.sleep(0)
            return connection.respond(self.refuse, "no room\n") if self.refuse else None
        answer = self.routes.get(path)
        if answer is None:
            return connection.respond(HTTPStatus.NOT_FOUND, "")
        body = answer.raw()
        return Response(200, "OK", Headers({"content-length": str(len(body)), "connection": "close"}), body)
