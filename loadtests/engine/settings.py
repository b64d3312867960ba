"""The settings of one emulated engine: its name, its HTTP surface, its speed."""

from dataclasses import dataclass
from typing import Any

from loadtests.engine.errors import Refused
from loadtests.engine.kv_events import KvEventsConfig
from loadtests.engine.profiles import PROFILES, Profile


@dataclass(frozen=True, slots=True)
class Settings:
    """Given on the command line, or by a test."""

    model: str = "warm-demo"
    tokenizer: str = "bytes"
    """`bytes`, or what `tokenizer_cache.tokenizers.load.load` takes."""
    profile: Profile = PROFILES["demo"]
    kind: str = "vllm"
    """`vllm` or `sglang`: decides the HTTP surface and the metric names."""
    loras: tuple[str, ...] = ()
    api_key: str | None = None
    speed: float = 1.0
    """Engine seconds per second. Above 1 the router under test is charged that many times over: say so in results."""
    kv_events: KvEventsConfig | None = None
    """Where to publish KV events."""
    shared_tier: str = ""
    """URL of the Redis server through which engines share one second tier of the profile's size; empty if this engine
    has its own."""
    seed: int = 0
    """Changes the words of the answers."""
    ranks: int = 1
    """Data-parallel ranks behind the one URL: each has a KV pool, a queue and events of its own."""
    pair_role: str = "null"
    """`prefill` or `decode` makes an SGLang engine say that it is one half of a pair."""

    @property
    def max_model_len(self) -> int:
        return min(self.profile.max_model_len, self.profile.blocks * self.profile.block_tokens)

    def check_model(self, body: dict[str, Any]) -> str:
        """The model that the body asks for. Raises Refused(404); SGLang's chat takes any name."""
        asked = body.get("model")
        if asked is None:
            return self.model
        if self.kind == "sglang" or asked == self.model or asked in self.loras:
            return str(asked)
        raise Refused(404, f"The model `{asked}` does not exist.")
