"""The workers that serve one model: what a decision chooses among. `Fleet` builds it again when any of it changes."""

from collections.abc import Iterable

from router.fleet.load_order import LoadOrder
from router.fleet.worker import Worker


class ModelGroup:
    """The workers that serve one model name (a base model or a LoRA adapter)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.workers: list[Worker] = []
        self._order: LoadOrder[Worker] | None = None
        self.by_holder: dict[str, Worker] = {}
        self.holders: tuple[str, ...] = ()
        self.base = name
        """The base model's name: a LoRA adapter shares its base model's tokenizer."""
        self.root = name
        """Where the model was loaded from, as its workers say: a folder or a hub id."""
        self.max_model_len = 0

    @property
    def order(self) -> LoadOrder[Worker]:
        """The workers in service, by load. It is made at its first use, about 1 us a worker, and kept up to date from
        then on. A small fleet, of which all workers are candidates, never asks for it."""
        if self._order is None:
            self._order = LoadOrder()
            for worker in self.workers:
                if worker.in_service:
                    self._order.add(worker, worker.ordered_load)
                    worker.orders.append(self._order)
        return self._order

    def index(self) -> None:
        """Call after the workers or a holder changed."""
        self.by_holder = {worker.holder: worker for worker in self.workers}
        self.holders = tuple(self.by_holder)


def groups_of(workers: Iterable[Worker]) -> tuple[ModelGroup, dict[str, ModelGroup]]:
    """One group of all, and one for each model name."""
    everyone = ModelGroup("")
    groups: dict[str, ModelGroup] = {}
    for worker in workers:
        worker.orders = []
        everyone.workers.append(worker)
        for card in worker.models:
            group = groups.get(card.id)
            if group is None:
                group = groups[card.id] = ModelGroup(card.id)
            group.base = card.parent or card.id
            group.root = card.root or card.id
            group.max_model_len = max(group.max_model_len, card.max_model_len)
            group.workers.append(worker)
    for group in (everyone, *groups.values()):
        group.index()
    return everyone, groups
