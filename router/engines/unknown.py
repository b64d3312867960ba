"""Any other server that lists models as OpenAI does. It gets requests, but has no known load, block size or
identity."""

from dataclasses import dataclass

import httpx

from router.engines.answers import fetch_models
from router.engines.engine import EngineKind, Facts, Load


@dataclass(frozen=True, slots=True)
class Unknown:
    """A server that answers only `/v1/models`."""

    kind: EngineKind = "unknown"
    health_path: str = "/v1/models"

    async def facts(self, client: httpx.AsyncClient, url: str) -> Facts:
        """See Engine."""
        models = await fetch_models(client, url)
        return Facts(
            engine=self.kind, version="", models=models.cards, block_tokens=0, kv_capacity_tokens=0, generation=""
        )

    async def load(self, client: httpx.AsyncClient, url: str) -> Load | None:
        """See Engine. Always None."""
        return None
