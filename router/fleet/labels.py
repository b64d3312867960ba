"""An operator's labels for a worker, given where it is named: the models that are sent there, and its role."""

from dataclasses import dataclass

from router.engines import ModelCard


@dataclass(frozen=True, slots=True)
class Labels:
    """An operator's labels for a worker."""

    models: frozenset[str] = frozenset()
    """The only models for which it gets requests, adapters of these included; empty: all that it serves."""
    role: str = ""
    """A word by which routers choose their workers."""

    def serves(self, card: ModelCard) -> bool:
        """May the worker get requests for this model?"""
        return not self.models or card.id in self.models or card.parent in self.models


NO_LABELS = Labels()
