"""What engines' own counters say: vLLM's or SGLang's /metrics, read before and after."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

_NAMES = {
    "vllm:prompt_tokens_total": "prompt_tokens",
    "vllm:prefix_cache_queries_total": "looked_up_tokens",
    "vllm:prefix_cache_hits_total": "cached_tokens",
    "vllm:request_success_total": "requests",
    "vllm:num_preemptions_total": "preemptions",
    "vllm:time_to_first_token_seconds_sum": "first_token_s",
    "vllm:time_to_first_token_seconds_count": "first_tokens",
    "sglang:prompt_tokens_total": "prompt_tokens",
    "sglang:cached_tokens_total": "cached_tokens",
    "sglang:num_requests_total": "requests",
    "sglang:time_to_first_token_seconds_sum": "first_token_s",
    "sglang:time_to_first_token_seconds_count": "first_tokens",
}
TIMEOUT_S = 10.0


class Sight(NamedTuple):
    """Totals of one engine since its start, or over a replay."""

    requests: float = 0.0
    """Finished."""
    prompt_tokens: float = 0.0
    looked_up_tokens: float = 0.0
    """Prompt tokens that were looked up in the cache (vLLM says so; preempted requests count once)."""
    cached_tokens: float = 0.0
    preemptions: float = 0.0
    first_token_s: float = 0.0
    """Sum of the times to first token, from the request's arrival at the engine."""
    first_tokens: float = 0.0
    """How many these were."""

    @classmethod
    def parse(cls, text: str) -> "Sight":
        """From a metrics page. Raises ValueError where it is none of a known engine."""
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if name := _NAMES.get(sample.name):
                    found[name] = found.get(name, 0.0) + sample.value
        if "prompt_tokens" not in found:
            raise ValueError("neither vLLM's metrics nor SGLang's (start SGLang with --enable-metrics)")
        return cls(**found)

    def since(self, before: "Sight") -> "Sight":
        """What has come since; all of it where the engine has been started anew meanwhile."""
        if self.prompt_tokens < before.prompt_tokens:
            return self
        return Sight(*(now - then for now, then in zip(self, before, strict=True)))

    def plus(self, other: "Sight") -> "Sight":
        return Sight(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def ttft_s(self) -> float:
        """Mean time to first token, without what lies before the engine; NaN of none."""
        return self.first_token_s / self.first_tokens if self.first_tokens else float("nan")

    @property
    def hit_rate(self) -> float:
        """Share of the prompt tokens that were cached; NaN of none."""
        tokens = self.looked_up_tokens or self.prompt_tokens
        return self.cached_tokens / tokens if tokens else float("nan")


async def look(engines: Sequence[str]) -> Mapping[str, Sight]:
    """All engines' sights, by URL. Raises ValueError, in words for the user, for one that cannot be asked."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as http:
        sights = await asyncio.gather(*(_look(http, engine) for engine in engines))
    return dict(zip(engines, sights, strict=True))


async def _look(http: aiohttp.ClientSession, engine: str) -> Sight:
    url = f"{engine.rstrip('/').removesuffix('/metrics')}/metrics"
    try:
        async with http.get(url) as response:
            text = await response.text()
            if response.status != 200:
                raise ValueError(f"{url} answers {response.status}")
            return Sight.parse(text)
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise ValueError(f"{url} does not answer: {error or type(error).__name__}") from None
    except ValueError as error:
        raise ValueError(f"{url}: {error}") from None
