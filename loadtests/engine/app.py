"""The engine's HTTP surface as one bare ASGI application. Bad input is answered with an error, never with a crash."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from loadtests.engine import info
from loadtests.engine.calls import CallReader
from loadtests.engine.chains import ChainHasher
from loadtests.engine.control import Control, RequestLog
from loadtests.engine.driver import Engine
from loadtests.engine.errors import Refused, error_body
from loadtests.engine.exchange import JSON, Cut, Exchange
from loadtests.engine.faults import Faults
from loadtests.engine.generate import Generating
from loadtests.engine.kv_events import KvFeed
from loadtests.engine.pooling import Pooling
from loadtests.engine.prompts import TokenSource
from loadtests.engine.settings import Settings
from loadtests.engine.shared_tier import shared_tier

TEXT = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
_GENERATING = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/messages": "messages",
    "/v1/responses": "responses",
}
_OPEN = ("/health", "/ready", "/metrics", "/emulator/")
_GUARDED_BY_VLLM = ("/v1", "/v2", "/inference", "/cohere")


class EngineApp:
    """One emulated engine. Made on the loop that serves it."""

    def __init__(self, settings: Settings, source: TokenSource, feeds: Sequence[KvFeed] = ()) -> None:
        """`feeds` receive the events of the KV pools, one for each rank."""
        self.settings = settings
        tier = shared_tier(settings.profile, settings.shared_tier)
        self.engines = [
            Engine(settings.profile, settings.speed, feed, tier) for feed in (feeds or (None,) * settings.ranks)
        ]
        hasher = ChainHasher(settings.profile.block_tokens)
        reader = CallReader(source, hasher, settings.max_model_len, settings.seed, settings.loras)
        stored: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._generating = [Generating(settings, engine, reader, stored) for engine in self.engines]
        self._faults, self._log = Faults(), RequestLog()
        self._control = Control(self.engines, self._faults, self._log)
        self._pages = self._make_pages()
        self._posts = self._make_posts(Pooling(settings, self.engines[0], self._generating[0]))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI, HTTP only."""
        exchange = Exchange(scope, receive, send)
        try:
            await exchange.read()
            await self._answer(exchange)
        except Refused as refused:
            body = error_body(refused, self.settings.kind, exchange.path)
            await exchange.answer(refused.status, body, JSON)
        except Cut:
            await exchange.connection.until_lost()
            self._log.departures += not exchange.connection.closed_here

    async def _answer(self, exchange: Exchange) -> None:
        if exchange.path.startswith("/emulator/"):
            return await self._control.answer(exchange)
        if exchange.method == "POST":
            self._log.add(exchange)
        await exchange.strike(self._faults.take(exchange.path, exchange.nth_request > 1))
        self._check_key(exchange)
        if exchange.method in ("GET", "HEAD"):
            return await self._page(exchange)
        if exchange.method != "POST":
            raise Refused(405, "Method Not Allowed")
        if api := _GENERATING.get(exchange.path):
            return await self._generating[self._rank(exchange)].generate(api, exchange)
        if post := self._posts.get(exchange.path):
            return await exchange.answer(200, await post(exchange))
        raise Refused(404, "Not Found")

    def _rank(self, exchange: Exchange) -> int:
        """The rank that the request names, else the one with the fewest requests: an engine's own balancer knows
        nothing of caches. Raises Refused(400)."""
        named = exchange.header(b"x-data-parallel-rank")
        if named is not None and named.isdigit():
            if int(named) < len(self.engines):
                return int(named)
            raise Refused(400, f"data_parallel_rank {named} is out of range [0, {len(self.engines)}).")
        if named is not None and self.settings.kind == "sglang":
            raise Refused(400, "X-data-parallel-rank must be an integer")
        return min(range(len(self.engines)), key=lambda rank: self.engines[rank].requests)

    def _check_key(self, exchange: Exchange) -> None:
        key, path = self.settings.api_key, exchange.path
        if key is None or path.startswith(_OPEN):
            return
        if self.settings.kind == "vllm" and not path.startswith(_GUARDED_BY_VLLM):
            return
        if exchange.header(b"authorization") != f"Bearer {key}":
            raise Refused(401, "Unauthorized")

    async def _page(self, exchange: Exchange) -> None:
        if exchange.path == "/metrics":
            return await exchange.answer(200, info.metrics(self.settings, self.engines), TEXT)
        if exchange.path.startswith("/v1/responses/"):
            return await exchange.answer(200, self._generating[0].retrieve(exchange))
        if page := self._pages.get(exchange.path):
            return await exchange.answer(200, page())
        known = exchange.path in _GENERATING or exchange.path in self._posts
        raise Refused(405, "Method Not Allowed") if known else Refused(404, "Not Found")

    def _make_pages(self) -> dict[str, Callable[[], bytes]]:
        settings, engine = self.settings, self.engines[0]
        pages: dict[str, Callable[[], bytes]] = {
            "/health": lambda: b"",
            "/v1/models": lambda: info.models(settings, engine),
        }
        if settings.kind == "sglang":
            pages["/ready"] = pages["/health"]
            pages["/server_info"] = lambda: info.server_info(settings, engine)
            pages["/v1/loads"] = lambda: info.loads(self.engines)
        else:
            pages["/version"] = lambda: msgspec.json.encode({"version": info.VERSIONS["vllm"]})
            if settings.kv_events is not None:
                events = settings.kv_events
                sources = msgspec.json.encode({str(rank): events.of_rank(rank) for rank in range(settings.ranks)})
                pages["/kv_event_sources"] = lambda: sources
            pages["/load"] = lambda: msgspec.json.encode({"server_load": 0})
        return pages

    async def _reset_prefix_cache(self, exchange: Exchange) -> bytes:
        """As vLLM in its development mode: nothing happens while requests run."""
        for engine in self.engines:
            engine.clear()
        return b""

    def _make_posts(self, pooling: Pooling) -> dict[str, Callable[[Exchange], Awaitable[bytes]]]:
        posts: dict[str, Callable[[Exchange], Awaitable[bytes]]] = {
            "/v1/embeddings": pooling.embeddings,
            "/tokenize": pooling.tokenize,
            "/detokenize": pooling.detokenize,
            "/v1/score": pooling.score,
            "/v1/rerank": pooling.rerank,
        }
        if self.settings.kind == "sglang":
            return {**posts, "/v1/tokenize": pooling.tokenize, "/v1/detokenize": pooling.detokenize}
        posts["/reset_prefix_cache"] = self._reset_prefix_cache
        return {**posts, "/score": pooling.score, "/rerank": pooling.rerank, "/v2/rerank": pooling.rerank}
