"""Which worker made which stored response: stateful calls must go back to it.

Owners are kept in this process's memory, bounded, and also in Redis where routers share one, so that a follow-up may
reach another router. An owner from Redis is believed only if it is a worker of the fleet. A request with an unknown id
is answered 404.
"""

import re
from collections import OrderedDict

from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.shared.keys import RESPONSE_TTL_S, Keys
from router.shared.link import Link
from router.shared.script import command
from router.shared.seal import Seal
from router.wire.errors import ApiError

MAX_KNOWN_RESPONSES = 100_000
MAX_OWNER_BYTES = 128
_RESPONSE_ID = re.compile(rb'"id"\s*:\s*"(resp_[\w.:-]{1,200})"')


class SharedOwners:
    """Owners in Redis: signed, under keyed hashes of the ids, for a day."""

    def __init__(self, link: Link, keys: Keys, seal: Seal) -> None:
        self._link = link
        self._keys = keys
        self._seal = seal

    def learn(self, response_id: str, worker_id: str) -> None:
        """Record the owner; no request waits for it."""
        place = self._place(response_id)
        value = self._seal.write(place, worker_id.encode())
        self._link.tell(command("SET", self._keys.response(place.hex()), value, "EX", RESPONSE_TTL_S))

    async def find(self, response_id: str) -> str | None:
        """The worker's id, if Redis knows and answers in time."""
        place = self._place(response_id)
        key = self._keys.response(place.hex())
        answer = await self._link.ask(command("GET", key))
        self._link.mend(answer, key)
        worker_id = self._seal.read(place, answer, MAX_OWNER_BYTES)
        if worker_id is None and isinstance(answer, bytes):
            self._link.counters.refused.add(1, ("response",))
        return worker_id.decode() if worker_id is not None else None

    def _place(self, response_id: str) -> bytes:
        return self._seal.name(response_id.encode(), 16)


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
