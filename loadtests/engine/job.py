"""What the scheduler schedules: one prompt and its answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from loadtests.engine.chains import Ids
from loadtests.engine.kv_pool import KvLease


@dataclass(frozen=True, slots=True)
class Origin:
    """The input of a job's hashes, for subscribers that compute their own hashes."""

    ids: Ids
    """Ids of prompt and answer together."""
    lora: str | None = None
    salt: str = ""

    def extra_keys(self, start: int, end: int) -> list[list[str] | None] | None:
        """What is hashed besides the tokens, for each block from `start` to `end`; None where it is nothing."""
        of_all = [] if self.lora is None else [self.lora]
        keys = [[*of_all, self.salt] if self.salt and not place else of_all for place in range(start, end)]
        return [key or None for key in keys] if any(keys) else None


@dataclass(slots=True, eq=False)
class Job:
    """One prompt and its answer, whose length is known beforehand. The first group of fields is the caller's."""

    chain: Sequence[int]
    """Chained hashes of the full blocks of prompt and answer together."""
    prompt_tokens: int
    answer_tokens: int
    """At least 1."""
    each_token: bool = False
    """True if the caller must hear of every token when it is made, not only of the first and the last."""
    use_cache: bool = True
    """False for requests that skip the prefix lookup (prompt logprobs)."""

    arrived: float = 0.0
    admitted: float | None = None
    """When it was first scheduled."""
    cached_tokens: int = 0
    """Prompt tokens found in the pool, or in a second tier, when it was first scheduled."""
    loaded_tokens: int = 0
    """Tokens of these that were read from a second tier."""
    first_token: float | None = None
    computed: int = 0
    """Tokens whose KV is in the pool, cached ones included. 0 again after a preemption."""
    made: int = 0
    """Tokens of the answer so far."""
    preempted: int = 0
    origin: Origin | None = field(default=None, repr=False)
    """For KV events only."""
    stored: int = 0
    """Blocks from the start of the chain that need not be written to a second tier: found in the pool, or written."""
    lease: KvLease | None = field(default=None, repr=False)

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.made

    @property
    def done(self) -> bool:
        return self.made >= self.answer_tokens
