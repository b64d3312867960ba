"""Which worker made which stored response: stateful calls must go back to it.

In this process's memory and bounded; an id from elsewhere is unknown, and the answer says so.
"""

import re
from collections import OrderedDict

from router.http.errors import ApiError
from router.workers import Fleet, Worker

MAX_KNOWN_RESPONSES = 100_000
_RESPONSE_ID = re.compile(rb'"id"\s*:\s*"(resp_[^"\\]{1,200})"')


class ResponseOwners:
    """Response id -> worker."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._owners: OrderedDict[str, str] = OrderedDict()

    def learn(self, answer_head: bytes, worker: Worker) -> None:
        """Note the response id in the beginning of an answer, if there is one."""
        found = _RESPONSE_ID.search(answer_head)
        if found is not None:
            self._owners[found[1].decode()] = worker.id
            if len(self._owners) > MAX_KNOWN_RESPONSES:
                self._owners.popitem(last=False)

    def find(self, response_id: str) -> Worker:
        """The worker that made the response. Raises ApiError 404 or 503."""
        only = len(self._fleet.workers) == 1
        worker_id = next(iter(self._fleet.workers)) if only else self._owners.get(response_id)
        worker = self._fleet.workers.get(worker_id) if worker_id is not None else None
        if worker is None:
            raise ApiError(404, "No worker is known to have made this response.", "response_not_found", "response_id")
        return worker
