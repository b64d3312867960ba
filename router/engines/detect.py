"""Finds out which engine answers at a URL.

The metrics' names and the shape of /server_info decide. The name that the server gives itself (`owned_by`, /version)
decides only where these are switched off, because proxies and emulators copy it.
"""

import httpx

from router.engines import sglang, vllm
from router.engines.answers import fetch_models
from router.engines.engine import Engine
from router.engines.unknown import Unknown
from router.engines.vllm import Vllm


async def detect(client: httpx.AsyncClient, url: str) -> Engine:
    """The engine at `url`. Raises WorkerAnswerError when it is no known engine and lists no models."""
    if found := await vllm.recognise(client, url):
        return found
    if other := await sglang.recognise(client, url):
        return other
    owners = (await fetch_models(client, url)).owners
    if "vllm" in owners or await vllm.version(client, url):
        return Vllm(metrics=False)
    return Unknown()
