"""A request on a worker is a lease: what is counted up is counted down by the same `with`, at the last byte, on every
path.

The worker's counters change together and nowhere else: requests in flight, prompt tokens held, and tokens still to be
prefilled. With them changes what first tokens say of the worker's lateness. A lease that ended twice or never would lie
to every later decision.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from router.fleet.worker import Worker


class Lease:
    """One running request on one worker. Enter at dispatch, leave at the last byte or at any failure."""

    __slots__ = (
        "_idle_at", "_open", "_queued_tokens", "_shows_prefill",
        "alone_s", "on_end", "prompt_tokens", "worker",
    )  # fmt: skip

    def __init__(self, worker: Worker, prompt_tokens: int, uncached_tokens: int, shows_prefill: bool = False) -> None:
        """`shows_prefill`: the first byte shows that prefill has ended, as in the stream of an answer to a prompt."""
        self.worker = worker
        self.prompt_tokens = prompt_tokens
        self._queued_tokens = uncached_tokens
        self._open = False
        self._shows_prefill = shows_prefill
        self._idle_at = 0.0
        self.alone_s = 0.0
        """Seconds to its first byte, if it had the worker to itself until then; else 0."""
        self.on_end: Callable[[], None] | None = None
        """Called once when the lease ends."""

    def __enter__(self) -> Self:
        self._open = True
        worker = self.worker
        worker.running.held_tokens += self.prompt_tokens
        due = worker.queue_prefill(self._queued_tokens)
        if self._shows_prefill:
            self._idle_at = worker.idle_at()
            worker.running.lateness.dispatched(self, due)
        worker.count_in_flight(1)
        if worker.on_load is not None:
            worker.on_load(worker)
        return self

    def first_byte(self) -> None:
        """Prefill is done: its tokens are no longer work that waits. Safe to call again."""
        self._unqueue()
        if self._shows_prefill:
            self.worker.running.lateness.answered(self)
            if self._idle_at:
                self.alone_s = max(0.0, self.worker.idle_at(1) - self._idle_at)
                self._idle_at = 0.0

    def _unqueue(self) -> None:
        if self._queued_tokens:
            worker = self.worker
            worker.end_prefill(self._queued_tokens)
            self._queued_tokens = 0
            if worker.on_load is not None:
                worker.on_load(worker)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._open:
            return
        self._open = False
        self._unqueue()
        worker = self.worker
        if self._shows_prefill:
            worker.running.lateness.ended(self)
        worker.running.held_tokens -= self.prompt_tokens
        worker.count_in_flight(-1)
        if worker.on_load is not None:
            worker.on_load(worker)
        if self.on_end is not None:
            self.on_end()
