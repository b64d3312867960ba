"""Which worker made which stored response: stateful calls must go back to it.

In this process's memory and bounded; where routers share a Redis also there, so that a follow-up may reach another
one. What Redis says is only believed as far as it names a worker of the fleet. An unknown id is answered so.
"""

import hashlib
import re
from collections import OrderedDict

from router.http.errors import ApiError
from router.shared.keys import RESPONSE_TTL_S, Keys
from router.shared.link import Link
from router.shared.script import command
from router.workers import Fleet, Worker

MAX_KNOWN_RESPONSES = 100_000
_RESPONSE_ID = re.compile(rb'"id"\s*:\s*"(resp_[\w.:-]{1,200})"')


class SharedOwners:
    """The same in Redis, under keyed hashes of the ids, for a day."""

    def __init__(self, link: Link, keys: Keys, secret: bytes) -> None:
        self._link = link
        self._keys = keys
        self._secret = secret[:64]

    def learn(self, response_id: str, worker_id: str) -> None:
        """Write it down; nobody waits."""
        self._link.tell(command("SET", self._key(response_id), worker_id, "EX", RESPONSE_TTL_S))

    async def find(self, response_id: str) -> str | None:
        """The worker's id, if Redis knows and answers in time."""
        answer = await self._link.ask(command("GET", self._key(response_id)))
        return answer.decode("ascii", "replace") if isinstance(answer, bytes) else None

    def _key(self, response_id: str) -> str:
        digest = hashlib.blake2b(response_id.encode(), key=self._secret, person=b"response", digest_size=16)
        return self._keys.response(digest.hexdigest())


class ResponseOwners:
    """Response id -> worker."""

    def __init__(self, fleet: Fleet, shared: SharedOwners | None = None) -> None:
        self._fleet = fleet
        self._shared = shared
        self._owners: OrderedDict[str, str] = OrderedDict()

    def learn(self, answer_head: bytes, worker: Worker) -> None:
        """Note the response id in the beginning of an answer, if there is one."""
        found = _RESPONSE_ID.search(answer_head)
        if found is not None:
            response_id = found[1].decode("ascii")
            self._owners[response_id] = worker.id
            if self._shared is not None:
                self._shared.learn(response_id, worker.id)
            if len(self._owners) > MAX_KNOWN_RESPONSES:
                self._owners.popitem(last=False)

    async def find(self, response_id: str) -> Worker:
        """The worker that made the response. Raises ApiError 404."""
        workers = self._fleet.workers
        worker_id = next(iter(workers)) if len(workers) == 1 else self._owners.get(response_id)
        if worker_id is None and self._shared is not None:
            worker_id = await self._shared.find(response_id)
        worker = workers.get(worker_id) if worker_id is not None else None
        if worker is None:
            raise ApiError(404, "No worker is known to have made this response.", "response_not_found", "response_id")
        return worker
