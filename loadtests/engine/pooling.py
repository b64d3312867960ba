"""Routes that generate nothing: embeddings, scores, ranks, tokenize and detokenize. Deterministic, and cheap."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import xxhash

from loadtests.engine.chains import Ids, pseudo_random, root_of
from loadtests.engine.driver import Engine
from loadtests.engine.errors import Refused
from loadtests.engine.exchange import Exchange
from loadtests.engine.generate import Generating
from loadtests.engine.job import Job
from loadtests.engine.prompts import texts_of
from loadtests.engine.settings import Settings

EMBEDDING_SIZE = 16


@dataclass(frozen=True, slots=True)
class Pooling:
    """Runs prompts through the engine's prefill and makes numbers of them."""

    settings: Settings
    engine: Engine
    generating: Generating

    async def embeddings(self, exchange: Exchange) -> bytes:
        """`/v1/embeddings`: a unit vector per input."""
        body = exchange.json()
        prompts = await texts_of(self.generating.reader.source, body.get("input"), "input")
        tokens = await self._prefill(body, exchange, prompts)
        data = [
            {"object": "embedding", "index": index, "embedding": _vector(prompt)}
            for index, prompt in enumerate(prompts)
        ]
        return self._list(body, tokens, {"data": data})

    async def score(self, exchange: Exchange) -> bytes:
        """`/score`: `text_1` (or `queries`) against each of `text_2` (or `documents`)."""
        body = exchange.json()
        query = body.get("text_1", body.get("queries"))
        scores, tokens = await self._scores(body, exchange, query, body.get("text_2", body.get("documents")))
        data = [{"object": "score", "index": index, "score": score} for index, score in enumerate(scores)]
        return self._list(body, tokens, {"data": data})

    async def rerank(self, exchange: Exchange) -> bytes:
        """`/rerank`: the documents, best first."""
        body = exchange.json()
        top = body.get("top_n") or None
        if top is not None and (type(top) is not int or top < 0):
            raise Refused(400, "top_n must be a positive integer", "top_n")
        scores, tokens = await self._scores(body, exchange, body.get("query"), body.get("documents"))
        order = sorted(range(len(scores)), key=lambda index: -scores[index])[:top]
        results = [{"index": index, "relevance_score": scores[index]} for index in order]
        return self._list(body, tokens, {"results": results})

    async def tokenize(self, exchange: Exchange) -> bytes:
        """`/tokenize`, of a text or of a chat."""
        body = exchange.json()
        source = self.generating.reader.source
        if "messages" in body:
            ids = await source.conversation("chat", body)
        else:
            ids = (await texts_of(source, body.get("prompt"), "prompt", body.get("add_special_tokens", True)))[0]
        answer = {"count": len(ids), "max_model_len": self.settings.max_model_len, "tokens": ids.tolist()}
        return msgspec.json.encode(answer)

    async def detokenize(self, exchange: Exchange) -> bytes:
        """`/detokenize`."""
        tokens = exchange.json().get("tokens")
        if not isinstance(tokens, list) or not all(type(token) is int and 0 <= token < 2**32 for token in tokens):
            raise Refused(400, "tokens must be a list of token ids", "tokens")
        return msgspec.json.encode({"prompt": self.generating.reader.source.decode(tokens)})

    async def _scores(
        self, body: dict[str, Any], exchange: Exchange, query: Any, documents: Any
    ) -> tuple[list[float], int]:
        source = self.generating.reader.source
        queries = await texts_of(source, query, "query")
        pairs = [np.concatenate((queries[0], document)) for document in await texts_of(source, documents, "documents")]
        tokens = await self._prefill(body, exchange, pairs)
        return [int(pseudo_random(_seed(pair), 1)[0]) / 2**64 for pair in pairs], tokens

    async def _prefill(self, body: dict[str, Any], exchange: Exchange, prompts: Sequence[Ids]) -> int:
        root = root_of("pooling", self.settings.check_model(body))
        hasher = self.generating.reader.hasher
        jobs = [Job(hasher.chain(prompt, root), max(1, len(prompt)), 1) for prompt in prompts]
        try:
            generation = self.engine.submit(jobs)
        except ValueError as error:
            raise Refused(400, str(error)) from error
        exchange.connection.on_lost = lambda: self.engine.abort(generation)
        while await generation.news():
            pass
        exchange.connection.on_lost = None
        return sum(len(prompt) for prompt in prompts)

    def _list(self, body: dict[str, Any], tokens: int, more: dict[str, Any]) -> bytes:
        usage = {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0}
        return msgspec.json.encode({"object": "list", "model": self.settings.check_model(body), **more, "usage": usage})


def _vector(prompt: Ids) -> list[float]:
    vector = pseudo_random(_seed(prompt), EMBEDDING_SIZE).astype(np.float64) / 2**63 - 1
    return (vector / np.linalg.norm(vector)).tolist()  # type: ignore[no-any-return]


def _seed(prompt: Ids) -> int:
    return xxhash.xxh3_64_intdigest(prompt.tobytes())
