"""One attempt: a request at one worker, from dispatch until its last byte, whatever happens.

A context manager: inside, the request is counted as the worker's. What must not be broken: an attempt that ends without
an answer takes back what it recorded, and hangs up, so that the worker stops.
"""

from asyncio import CancelledError
from collections.abc import Callable
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from router.fleet.breaker import Fault, fault_of_status
from router.fleet.lease import Lease
from router.prefix.index import PrefixIndex
from router.routing.asked import Asked
from router.routing.choose import Choice
from router.routing.prompt_record import PromptRecord

FAULTS = {
    "connect": Fault.CONNECT,
    "connect_timeout": Fault.TIMEOUT,
    "reset": Fault.RESET,
    "worker_died": Fault.RESET,
    "silence_timeout": Fault.SILENT,
    "first_byte_timeout": Fault.TIMEOUT,
    "handshake_timeout": Fault.TIMEOUT,
    "status_503": Fault.SATURATED,
}
"""The worker's fault in each kind of failed attempt; every other kind is an ERROR."""
ERROR_STATUS = 400


class Attempt:
    """The request, the worker that it goes to, the lease that counts it, and the record that it writes to the index."""

    __slots__ = (
        "_answered",
        "_computed",
        "asked",
        "body",
        "choice",
        "hang_up",
        "hides_usage",
        "lease",
        "number",
        "record",
        "worker",
    )

    def __init__(
        self, asked: Asked, choice: Choice, number: int, index: PrefixIndex, body: bytes | None = None
    ) -> None:
        """`number` counts from 1. `body` is the body that this worker gets instead of the client's."""
        worker = self.worker = choice.worker
        self.asked = asked
        self.choice = choice
        self.number = number
        self.body = asked.body if body is None else body
        self.lease = Lease(worker, choice.prompt_tokens, choice.uncached_tokens, choice.shows_prefill)
        self.record: PromptRecord | None = None
        if choice.prompt is not None:
            self.record = PromptRecord(index, worker.holder, choice.prompt, choice.cached_tokens)
        self.hides_usage = False
        """The router asked for the usage of its stream, and the client did not."""
        self.hang_up: Callable[[], None] | None = None
        """Cuts the connection to the worker, unless the answer is complete."""
        self._answered = False
        self._computed = False

    def __enter__(self) -> Self:
        if self.asked.turn is not None:
            self.asked.turn.begin(self.worker)
        self.worker.breaker.begin()
        self.lease.__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.lease.__exit__(exc_type, exc, traceback)
        finally:
            if not self._answered:
                self._drop()
                self.worker.breaker.abandon()
            if self.hang_up is not None:
                self.hang_up()
            if self.asked.turn is not None:
                prompt = self.record.prompt if self.record is not None else None
                self.asked.turn.left(prompt, self._computed, exc_type is CancelledError)

    def computed(self) -> None:
        """Prefill is done there."""
        first, self._computed = not self._computed, True
        self.lease.first_byte()
        if self.record is not None:
            self.record.computed()
            if first and self.asked.turn is not None:
                self.asked.turn.answers(self.record.prompt)

    def answered(self, status: int) -> None:
        """The worker's answer begins: after a success its prompt is computed, and the breaker hears how it fared."""
        self._answered = True
        if status < ERROR_STATUS:
            self.computed()
        else:
            self._drop()
        fault = fault_of_status(status)
        if fault is None:
            self.worker.breaker.success()
        else:
            self.worker.breaker.failure(fault)

    def blame(self, kind: str) -> None:
        """The worker failed it."""
        self.worker.breaker.failure(FAULTS.get(kind, Fault.ERROR))
        self.worker.suspect()

    def learnt(self) -> Asked:
        """What is asked, with what has become known of its prompt meanwhile."""
        record = self.record
        if record is None or record.prompt is self.choice.prompt:
            return self.asked
        return replace(self.asked, prompts={**self.asked.prompts, self.choice.format: record.prompt})

    def _drop(self) -> None:
        """No block can be assumed to be computed."""
        if self.record is not None:
            self.record.failed()
