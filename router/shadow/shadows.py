"""All worlds of a router, and what the served policy saved against each: as counters, by model.

What must not be broken: a shadow costs no request. A policy that raises, which one's own may, is given up for good, and
so is a world whose memory or count fails.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from router.clients import ANONYMOUS
from router.observe.faults import without_text
from router.routing.asked import Asked
from router.routing.choose import Choice, available
from router.routing.decide import request_facts
from router.routing.prompt_record import PromptRecord
from router.shadow.months import Counted, Months
from router.shadow.world import Placing, World, offers

SERVED = "served"
"""The label of what was really done, beside the policies' names."""
log = logging.getLogger("warmroute")


class Shadowed(NamedTuple):
    """One request that the worlds have placed."""

    model: str
    client: str
    """The label of the client's key."""
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
        self.counted = Months()

    def __bool__(self) -> bool:
        return bool(self.worlds)

    def begin(self, asked: Asked, choice: Choice) -> Shadowed:
        """Place it in every world."""
        with Fuse(self.worlds, *self.worlds):
            self._share()
        now, workers = self._clock(), available(asked.group) or [choice.worker]
        offered, facts = offers(workers, asked.prompts), request_facts(asked.prompts, asked.session)
        placings = []
        for name, world in list(self.worlds.items()):
            with Fuse(self.worlds, name):
                placing = world.begin(offered, asked.prompts, facts, now)
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
            with Fuse(self.worlds, name):
                world.end(placing, computed, completion or 0, now)
        if record is not None and shadowed.placings:
            with Fuse(self.worlds, *[name for name, _, _ in shadowed.placings]):
                self._count(shadowed, record, cached)

    def _count(self, shadowed: Shadowed, record: PromptRecord, cached: int | None) -> None:
        """Like with like: what was predicted by the same rules, but no more than the engine had."""
        model, client, tokens = shadowed.model, shadowed.client, record.prompt.tokens
        served = record.predicted_tokens if cached is None else min(record.predicted_tokens, cached)
        found = [(SERVED, served, shadowed.rate)]
        found += [(name, placing.cached_tokens, placing.worker.prefill_rate) for name, _, placing in shadowed.placings]
        for name, had, rate in found:
            cached_tokens = min(had, tokens)
            self.counted.add((model, client, name), tokens, cached_tokens, (tokens - cached_tokens) / rate)

    def set_capacity(self, holder: str, blocks: int) -> None:
        """As `PrefixIndex.set_capacity`."""
        self._capacities[holder] = blocks
        for name, world in list(self.worlds.items()):
            with Fuse(self.worlds, name):
                world.residency.set_capacity(holder, blocks // self._shared_by)

    def _share(self) -> None:
        """Give each world the part of each worker's memory that falls to one of the routers that share it now."""
        routers = max(1, self._routers())
        if routers != self._shared_by:
            self._shared_by = routers
            for holder, blocks in list(self._capacities.items()):
                self.set_capacity(holder, blocks)

    def remove_worker(self, holder: str) -> None:
        """As `PrefixIndex.remove_worker`."""
        self._capacities.pop(holder, None)
        for name, world in list(self.worlds.items()):
            with Fuse(self.worlds, name):
                world.residency.remove_worker(holder)

    def collect(self) -> Iterator[Metric]:
        """What was counted since the start."""
        labels = ("model", "client", "policy")
        tokens = CounterMetricFamily(
            "warmroute_shadow_prompt_tokens",
            "Prompt tokens of answers that shadow policies were tried on.",
            labels=labels[:2],
        )
        cached = CounterMetricFamily(
            "warmroute_shadow_cached_tokens", "Prompt tokens cached: as served, and as each policy says.", labels=labels
        )
        seconds = CounterMetricFamily(
            "warmroute_shadow_prefill_seconds", "Time to compute the others, by policy.", labels=labels
        )
        for label, counted in list(self.counted.since_start.items()):
            if label[2] == SERVED:
                tokens.add_metric(label[:2], counted.prompt_tokens)
            cached.add_metric(label, counted.cached_tokens)
            seconds.add_metric(label, counted.prefill_s)
        yield from (tokens, cached, seconds)

    def savings(self) -> list[dict[str, Any]]:
        """What the status shows: by model, what was served and what each policy would have found."""
        sums: dict[str, dict[str, Counted]] = {}
        for (model, _, policy), counted in list(self.counted.since_start.items()):
            sums.setdefault(model, {}).setdefault(policy, Counted()).include(counted)
        return [
            {
                "model": model,
                "prompt_tokens": policies[SERVED].prompt_tokens,
                "policies": [
                    {"policy": name, "cached_tokens": found.cached_tokens, "prefill_s": found.prefill_s}
                    for name in (SERVED, *self.worlds)
                    for found in [policies.get(name, Counted())]
                ],
            }
            for model, policies in sums.items()
        ]

    def savings_table(self, price: float | None) -> str:
        """The savings by month, model and client, as CSV. `price`: money for a worker hour."""
        return self.counted.table(SERVED, price)


class Fuse:
    """If what is done for these worlds fails, they are given up and the request goes on."""

    __slots__ = ("_names", "_worlds")

    def __init__(self, worlds: dict[str, World], *names: str) -> None:
        self._worlds = worlds
        self._names = names

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        """Errors end here; what ends the task or the process does not."""
        if not isinstance(error, Exception):
            return False
        log.error("shadow %s is given up: it failed", " and ".join(self._names), exc_info=without_text(error))
        for name in self._names:
            self._worlds.pop(name, None)
        return True
