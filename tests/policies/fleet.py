"""A virtual fleet for the policies' tests: first come first served prefill, prefix caches without eviction.

The clock is an argument and nothing runs in the background: what happens to a request is computed when it is sent.
Candidates are made as the router makes them, pending prefills counted as cached and as queued.
"""

from typing import NamedTuple

from policies.api import Candidate, Policy, RequestFacts, Selection, candidate

BLOCK_TOKENS = 64


class Part(NamedTuple):
    """A stretch of a prompt: equal contents after equal prefixes can be cached."""

    content: str
    tokens: int


class Sent(NamedTuple):
    """What became of a request."""

    selection: Selection
    ttft_s: float
    uncached_tokens: int


class Running(NamedTuple):
    """A lease."""

    first_byte_s: float
    last_byte_s: float
    uncached_tokens: int
    prompt_tokens: int


class Worker:
    """One engine: prefills one prompt after the other at a constant rate, then decodes without slowing anyone down."""

    def __init__(self, name: str, prefill_rate: float, kv_capacity_tokens: int) -> None:
        self.name = name
        self.prefill_rate = prefill_rate
        self.kv_capacity_tokens = kv_capacity_tokens
        self.free_at_s = 0.0
        self.held: set[tuple[Part, ...]] = set()
        self.running: list[Running] = []

    def candidate(self, now_s: float, prompt: tuple[Part, ...]) -> Candidate:
        """This worker as the router sees it at `now_s`."""
        self.running = [lease for lease in self.running if lease.last_byte_s > now_s]
        prompt_tokens = sum(part.tokens for part in prompt)
        cached = self._cached_tokens(prompt, prompt_tokens)
        return candidate(
            worker=self.name,
            cached_tokens=cached,
            uncached_tokens=prompt_tokens - cached,
            queued_tokens=sum(lease.uncached_tokens for lease in self.running if lease.first_byte_s > now_s),
            in_flight=len(self.running),
            held_tokens=sum(lease.prompt_tokens for lease in self.running),
            waiting=0,
            kv_usage=0.0,
            kv_capacity_tokens=self.kv_capacity_tokens,
            prefill_rate=self.prefill_rate,
        )

    def send(self, now_s: float, prompt: tuple[Part, ...], uncached_tokens: int, answer_s: float) -> float:
        """Queue a prefill; returns its time to first token in seconds."""
        self.free_at_s = max(now_s, self.free_at_s) + uncached_tokens / self.prefill_rate
        prompt_tokens = sum(part.tokens for part in prompt)
        self.running.append(Running(self.free_at_s, self.free_at_s + answer_s, uncached_tokens, prompt_tokens))
        self.held.update(prompt[: end + 1] for end in range(len(prompt)))
        return self.free_at_s - now_s

    def _cached_tokens(self, prompt: tuple[Part, ...], prompt_tokens: int) -> int:
        tokens = 0
        for end, part in enumerate(prompt, start=1):
            if prompt[:end] not in self.held:
                break
            tokens += part.tokens
        return min(tokens, prompt_tokens - 1) // BLOCK_TOKENS * BLOCK_TOKENS


class Fleet:
    """Equal workers behind one policy."""

    def __init__(
        self, policy: Policy, workers: int, *, prefill_rate: float = 8000.0, kv_capacity_tokens: int = 300_000
    ) -> None:
        self.policy = policy
        self.workers = {f"w{i}": Worker(f"w{i}", prefill_rate, kv_capacity_tokens) for i in range(workers)}
        self.sent: list[Sent] = []

    def send(self, now_s: float, *prompt: Part, answer_s: float = 5.0) -> Sent:
        """Route one prompt at `now_s` (never earlier than the last one) and compute its fate."""
        request = RequestFacts(
            prompt_tokens=sum(part.tokens for part in prompt), session=b"", prefix=prompt[0].content.encode()
        )
        candidates = [worker.candidate(now_s, prompt) for worker in self.workers.values()]
        selection = self.policy.select(request, candidates)
        chosen = selection.candidate
        ttft_s = self.workers[chosen.worker].send(now_s, prompt, chosen.uncached_tokens, answer_s)
        sent = Sent(selection, ttft_s, chosen.uncached_tokens)
        self.sent.append(sent)
        return sent

    def shares(self, since: int = 0) -> dict[str, float]:
        """Each worker's share of the requests sent, from the `since`th on."""
        chosen = [sent.selection.candidate.worker for sent in self.sent[since:]]
        return {name: chosen.count(name) / len(chosen) for name in self.workers}


def p99(values: list[float]) -> float:
    """Nearest-rank 99th percentile."""
    return sorted(values)[-(-99 * len(values) // 100) - 1]
