"""One body, two answers: the ids that a real server renders, and ours."""

from dataclasses import dataclass
from typing import Any

import httpx

from tokenizer_cache.rules import NotExact
from tokenizer_cache.templates.render import RENDER_ERRORS, Renderer
from tokenizer_cache.tokenizers.tokenizer import Tokenizer

RENDER_ROUTES = {
    "chat": "/v1/chat/completions/render",
    "messages": "/v1/messages/render",
    "responses": "/v1/responses/render",
}


@dataclass(frozen=True, slots=True)
class RealServer:
    client: httpx.Client
    model: str
    max_tokens: int
    """The longest prompt that the server takes."""
    tokenizer: Tokenizer
    renderer: Renderer

    def theirs(self, api: str, body: dict[str, Any]) -> list[int] | None:
        """The ids that the server renders; None where it refuses the body."""
        reply = self.client.post(RENDER_ROUTES[api], json={"model": self.model, **body})
        if reply.status_code != httpx.codes.OK:
            return None
        ids: list[int] = reply.json()["token_ids"]
        return ids

    def ours(self, api: str, body: dict[str, Any]) -> list[int] | None:
        """The ids as we see them; None where they are not known exactly."""
        try:
            call = self.renderer.call(api, body)
            return self.tokenizer.encode(self.renderer.full(call), call.add_special_tokens)
        except (NotExact, *RENDER_ERRORS):
            return None
