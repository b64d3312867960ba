"""What a source says, and to whom."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from router.dial.allow import Implied
from router.fleet.labels import NO_LABELS, Labels

INTERVAL_S = 1.0
"""Between two looks at a file, and at least between two questions for a DNS name: a look at a file is one call of the
system, a question one small packet. A change of the fleet is seen this soon."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One worker as a source names it."""

    url: str
    labels: Labels = NO_LABELS
    draining: bool = False
    """It is on its way out, and must get nothing new."""
    generation: str = ""
    """Tells apart two workers that have one URL after another; empty when the source cannot."""


class Findings(Protocol):
    """Told what a source finds. Never blocks, never fails."""

    def found(self, specs: Iterable[WorkerSpec]) -> None:
        """All that there is now: whoever is not among `specs` has left."""
        ...

    def unchanged(self) -> None:
        """The source answered, and nothing is new."""
        ...

    def failed(self, reason: str) -> None:
        """The source could not be read: its last set stays. `reason` is one line for the log."""
        ...


class Source(Protocol):
    """One place where workers are named."""

    @property
    def name(self) -> str:
        """What logs and metrics call it: kind and place, such as `dns:vllm.default.svc`."""
        ...

    @property
    def implied(self) -> Implied | None:
        """What naming this source allows where `worker_allow` is not set."""
        ...

    async def run(self, findings: Findings) -> None:
        """Watch for ever, and tell each full set when it is known anew. Failures are told, not raised."""
        ...
