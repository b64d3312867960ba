"""The contract of a source, and of the listener that it reports to."""

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
    """True if the worker is leaving and must get no new requests."""
    generation: str = ""
    """Distinguishes two workers that have the same URL one after the other; empty when the source cannot."""


class Findings(Protocol):
    """Receives what a source finds. Never blocks, never fails."""

    def found(self, specs: Iterable[WorkerSpec]) -> None:
        """The full set now: a worker that is not among `specs` has left."""
        ...

    def unchanged(self) -> None:
        """The source answered, and the set has not changed."""
        ...

    def failed(self, reason: str) -> None:
        """The source could not be read: its last set stays. `reason` is one line for the log."""
        ...


class Source(Protocol):
    """A place that names workers."""

    @property
    def name(self) -> str:
        """Its name in logs and metrics: kind and place, such as `dns:vllm.default.svc`."""
        ...

    @property
    def implied(self) -> Implied | None:
        """The addresses that this source allows where `worker_allow` is not set."""
        ...

    async def run(self, findings: Findings) -> None:
        """Watch for ever, and report each full set when it is read. Failures are reported, not raised."""
        ...
