"""The workers that serve one model: what a decision chooses among. Built anew by `Fleet` when any of it changes."""

from typing import TYPE_CHECKING

from router.load_order import LoadOrder

if TYPE_CHECKING:
    from router.workers import Worker


class ModelGroup:
    """The workers that serve one model name (a base model or a LoRA adapter)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.workers: list[Worker] = []
        self.order: LoadOrder[Worker] = LoadOrder()
        self.by_holder: dict[str, Worker] = {}
        self.holders: tuple[str, ...] = ()
        self.base = name
        """The base model's name: a LoRA adapter shares its base model's tokenizer."""
        self.root = name
        """Where the model was loaded from, as its workers say: a folder or a hub id."""
        self.max_model_len = 0

    def index(self) -> None:
        """Call after the workers or a holder changed."""
        self.by_holder = {worker.holder: worker for worker in self.workers}
        self.holders = tuple(self.by_holder)
