"""What a policy sees and what it answers.

A policy chooses among candidates by what they say, by random draws, and by what it has learned from its own earlier
choices, if it keeps anything: it reads no clock, does no I/O and knows neither the router nor the index. So the same
object serves traffic and replays a trace. This package imports the standard library only.

Nouns: a *candidate* is an immutable snapshot of one worker for one request; a *selection* is the chosen candidate and
the reason, as a value.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple, Protocol


class RequestFacts(NamedTuple):
    """What a policy may know of the request itself. Holds no text. Built by keyword: two fields are of one type."""

    prompt_tokens: int
    """Prompt length in tokens, exact where the conversation is known, else estimated. 0 when the route has no
    prompt."""
    session: bytes
    """Key of the session: the session header's value, else empty."""
    prefix: bytes
    """Key of the prompt's start (its first block's hash), else empty. Equal beginnings have equal keys."""


class Candidate(NamedTuple):
    """One worker as this request would find it. Token counts are whole tokens, times are seconds. Built by
    `candidate`, whose arguments have names: most fields are of one type, so two that were swapped would not show."""

    worker: str
    """Opaque worker id."""
    cached_tokens: int
    """Tokens of this prompt that the worker holds, or will hold once the prefills queued on it are done.
    Already floored to the worker's own block alignment and to prompt - 1."""
    uncached_tokens: int
    """Prompt tokens that the worker would have to prefill: prompt_tokens - cached_tokens."""
    queued_tokens: int
    """Prefill work ahead of this request there, as it is now: uncached tokens of the requests whose first byte has not
    come, less what the worker must have worked off meanwhile."""
    in_flight: int
    """Requests dispatched to the worker whose last byte has not come, over all routers known."""
    held_tokens: int
    """Prompt tokens of the requests in flight: KV space that cannot be evicted."""
    waiting: int
    """Requests that the engine itself reports as waiting (last scrape; 0 when unknown)."""
    kv_usage: float
    """Share of KV blocks referenced by running requests, 0..1, as the engine reports (last scrape; 0 when unknown)."""
    kv_capacity_tokens: int
    """KV pool size in tokens (0 when unknown)."""
    prefill_rate: float
    """Uncached prompt tokens per second that the worker's hardware class prefills (prior, then measured). Never 0."""
    strangers: int
    """Of those waiting in the engine, requests that no known router sent (last scrape)."""
    warmth: float
    """The share of its full speed that is expected of it now, above 0: below 1 for a worker that has just come into
    service. What has a price in time or load is divided by it."""
    stay_s: float
    """Measured mean time, in seconds, for which the requests on this worker keep their memory, from first token to last
    byte. Each is weighted by its own length, because a long one is found more often. A prompt that needs their memory
    waits for about this many seconds."""
    unique_share: float
    """Measured share of `held_tokens` that takes memory of its own, above 0, at most 1. Prompts that begin alike share
    the rest."""


def candidate(  # noqa: PLR0913 - one for each field
    *,
    worker: str,
    cached_tokens: int,
    uncached_tokens: int,
    queued_tokens: int,
    in_flight: int,
    held_tokens: int,
    waiting: int,
    kv_usage: float,
    kv_capacity_tokens: int,
    prefill_rate: float,
    strangers: int = 0,
    warmth: float = 1.0,
    stay_s: float = 5.0,
    unique_share: float = 1.0,
) -> Candidate:
    """A candidate. As fast as `Candidate` with arguments in order; that with keywords takes half as long again."""
    return tuple.__new__(
        Candidate,
        (
            worker,
            cached_tokens,
            uncached_tokens,
            queued_tokens,
            in_flight,
            held_tokens,
            waiting,
            kv_usage,
            kv_capacity_tokens,
            prefill_rate,
            strangers,
            warmth,
            stay_s,
            unique_share,
        ),
    )


class Selection(NamedTuple):
    """The decision, as a value. Logs, metrics, response headers and tests read it."""

    candidate: Candidate
    reason: str
    """A short snake_case word from the policy's own closed set (it becomes a metric label): e.g. `cached`, `idle`."""
    cost: float
    """The chosen candidate's cost, in the policy's own unit; lower is better."""


class Policy(Protocol):
    """One routing rule. Built with a `random.Random`. What it keeps changes in `select` alone, and is its own."""

    reasons: ClassVar[tuple[str, ...]]
    """All reasons that `select` may give."""
    scope: ClassVar[Literal["few", "all"]]
    """`few`: sees the deepest holders, the least loaded few and one at random (at most 7), so that its cost does not
    grow with the fleet. `all`: needs every eligible worker (rings, round robin)."""

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        """One cost per candidate, in order; lower is better. Has no side effect (used to explain a decision)."""
        ...

    def select(self, request: RequestFacts, candidates: Sequence[Candidate]) -> Selection:
        """Choose one of `candidates` (never empty). Must not block and must not fail."""
        ...
