"""All worlds of a router, and what the served policy saved against each: as counters, by model.

What must not be broken: a shadow costs no request. A policy that raises, which one's own may, is given up for good, and
so is a world whose memory or count fails.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from router.clients import ANONYMOUS
from router.observe.faults import without_text
from router.observe.instruments import Counter
from router.routing.asked import Asked
from router.routing.choose import Choice, available
from router.routing.prompt_record import PromptRecord
from router.shadow.months import Months
from router.shadow.world import Placing, World

SERVED = "served"
"""The label of what was really done, beside the policies' names."""
log = logging.getLogger("warmroute")


@dataclass(frozen=True, slots=True)
class Shadowed:
    """One request that the worlds have placed."""

    model: str
    client: str
    """Its label."""
    choice: Choice
    rate: float
    """Tokens per second that its worker prefills."""
    placings: list[tuple[str, World, Placing]]


class Shadows(Collector):
    """`begin` at a request's first dispatch, `end` once after its last byte."""

    def __init__(
        self,
        worlds: Mapping[str, World],
        clock: Callable[[], float] = time.monotonic,
        routers: Callable[[], int] = lambda: 1,
    ) -> None:
        """`routers`: how many share the workers. A world sees its own router's prompts alone, and so has that part of
        each worker's memory."""
        self.worlds = dict(worlds)
        self._clock = clock
        self._routers = routers
        self._shared_by = 1
        self._capacities: dict[str, int] = {}
        self.prompt_tokens = Counter(
            "warmroute_shadow_prompt_tokens",
            "Prompt tokens of answers that shadow policies were tried on.",
            ("model", "client"),
        )
        self.cached_tokens = Counter(
            "warmroute_shadow_cached_tokens",
            "Of these, cached: as served, and as each policy says.",
            ("model", "client", "policy"),
        )
        self.months = Months()
        self.prefill_seconds = Counter(
            "warmroute_shadow_prefill_seconds", "Time to compute the others, by policy.", ("model", "client", "policy")
        )

    def __bool__(self) -> bool:
        return bool(self.worlds)

    def begin(self, asked: Asked, choice: Choice) -> Shadowed:
        """Place it in every world."""
        with self._or_given_up(*self.worlds):
            self._share()
        now, workers = self._clock(), available(asked.group) or [choice.worker]
        placings = []
        for name, world in list(self.worlds.items()):
            with self._or_given_up(name):
                placing = world.begin(workers, asked.prompts, asked.session, now)
                if placing is not None:
                    placings.append((name, world, placing))
        client = asked.client.label if asked.client is not None else ANONYMOUS
        return Shadowed(asked.model, client, choice, choice.worker.prefill_rate, placings)

    def end(self, shadowed: Shadowed, record: PromptRecord | None, cached: int | None, completion: int | None) -> None:
        """It has ended. `record`: of the attempt that was answered, None where none was; `cached`, `completion`: tokens
        as the engine reports them."""
        now = self._clock()
        computed = record.prompt if record is not None and record.settled else None
        for name, world, placing in shadowed.placings:
            with self._or_given_up(name):
                world.end(placing, computed, completion or 0, now)
        if record is not None and shadowed.placings:
            with self._or_given_up(*(name for name, _, _ in shadowed.placings)):
                self._count(shadowed, record, cached)

    @contextmanager
    def _or_given_up(self, *names: str) -> Iterator[None]:
        """If what is done here for these worlds fails, they are given up and the request goes on."""
        try:
            yield
        except Exception as error:
            log.error("shadow %s is given up: it failed", " and ".join(names), exc_info=without_text(error))
            for name in names:
                self.worlds.pop(name, None)

    def _count(self, shadowed: Shadowed, record: PromptRecord, cached: int | None) -> None:
        """Like with like: what was predicted by the same rules, but no more than the engine had."""
        label, tokens = (shadowed.model, shadowed.client), record.prompt.tokens
        served = record.predicted_tokens if cached is None else min(record.predicted_tokens, cached)
        self.prompt_tokens.add(tokens, label)
        self._add((*label, SERVED), min(served, tokens), tokens, shadowed.rate)
        for name, _, placing in shadowed.placings:
            self._add((*label, name), min(placing.cached_tokens, tokens), tokens, placing.worker.prefill_rate)

    def _add(self, label: tuple[str, str, str], cached: int, tokens: int, rate: float) -> None:
        prefill_s = (tokens - cached) / rate
        self.cached_tokens.add(cached, label)
        self.prefill_seconds.add(prefill_s, label)
        self.months.add(label, tokens, cached, prefill_s)

    def set_capacity(self, holder: str, blocks: int) -> None:
        """As `PrefixIndex.set_capacity`."""
        self._capacities[holder] = blocks
        for name, world in list(self.worlds.items()):
            with self._or_given_up(name):
                world.residency.set_capacity(holder, blocks // self._shared_by)

    def _share(self) -> None:
        """As many routers share the workers as now."""
        routers = max(1, self._routers())
        if routers != self._shared_by:
            self._shared_by = routers
            for holder, blocks in list(self._capacities.items()):
                self.set_capacity(holder, blocks)

    def remove_worker(self, holder: str) -> None:
        """As `PrefixIndex.remove_worker`."""
        self._capacities.pop(holder, None)
        for name, world in list(self.worlds.items()):
            with self._or_given_up(name):
                world.residency.remove_worker(holder)

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        for counter in (self.prompt_tokens, self.cached_tokens, self.prefill_seconds):
            yield from counter.collect()

    def savings(self) -> list[dict[str, Any]]:
        """For the status: by model, what was served and what each policy would have found."""
        tokens = _over_clients(self.prompt_tokens)
        cached, prefill_s = _over_clients(self.cached_tokens), _over_clients(self.prefill_seconds)

        def of(model: str, policy: str) -> dict[str, Any]:
            label = (model, policy)
            return {
                "policy": policy,
                "cached_tokens": cached.get(label, 0.0),
                "prefill_s": prefill_s.get(label, 0.0),
            }

        names = (SERVED, *self.worlds)
        return [
            {"model": model, "prompt_tokens": count, "policies": [of(model, name) for name in names]}
            for (model,), count in tokens.items()
        ]

    def savings_table(self, price: float | None) -> str:
        """By month, model and client, as CSV. `price`: of a worker hour."""
        return self.months.table(SERVED, price)


def _over_clients(counter: Counter) -> dict[tuple[str, ...], float]:
    """Its sums, by the labels other than the client, which is the second one."""
    sums: dict[tuple[str, ...], float] = {}
    for label, value in list(counter.values.items()):
        key = (label[0], *label[2:])
        sums[key] = sums.get(key, 0.0) + value
    return sums
