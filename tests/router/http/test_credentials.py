"""Which keys a worker is given: the table of decision 10, with every header that may hold one."""

import pytest

from router.settings import Secret
from tests.attacks.recording_worker import RecordingWorker
from tests.router.http.raw import post, wire
from tests.routers import running_router

CLIENT, WORKER, ADMIN = "client-key", "worker-key", "admin"
PATH = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("api_key", "worker_key", "sent", "seen"),
    [
        (False, False, [f"authorization: Bearer {CLIENT}"], {CLIENT}),
        (False, False, [f"x-api-key: {CLIENT}"], {CLIENT}),
        (False, False, [f"authorization: Bearer {CLIENT}", f"x-api-key: {ADMIN}"], {CLIENT}),
        (False, False, [f"authorization: Bearer {ADMIN}", f"x-api-key: {CLIENT}"], {CLIENT}),
        (False, False, [f"authorization: Bearer {ADMIN}", f"x-api-key: {ADMIN}"], set()),
        (False, False, [f"x-warmroute-admin-key: {ADMIN}", f"proxy-authorization: Bearer {CLIENT}"], set()),
        (False, True, [f"authorization: Bearer {CLIENT}", f"x-api-key: {ADMIN}"], {WORKER}),
        (True, False, [f"authorization: Bearer {CLIENT}"], set()),
        (True, False, [f"x-api-key: {CLIENT}", f"x-warmroute-admin-key: {ADMIN}"], set()),
        (True, True, [f"authorization: Bearer {CLIENT}", f"x-api-key: {CLIENT}"], {WORKER}),
    ],
)
async def test_a_worker_gets_the_keys_that_are_meant_for_it(
    api_key: bool, worker_key: bool, sent: list[str], seen: set[str]
) -> None:
    keys = (Secret(CLIENT),) if api_key else ()
    worker_secret = Secret(WORKER) if worker_key else None
    async with RecordingWorker() as worker:
        router = running_router(worker.url, api_keys=keys, worker_api_key=worker_secret)
        async with router as running, wire(running.port) as client:
            await client.send(post(PATH, b'{"model":"m","messages":[{"role":"user","content":"x"}]}', *sent))
            status, _ = await client.answer()
        assert status == 200
        request = b"".join(worker.take())
    assert b"POST" in request
    assert {key for key in (CLIENT, WORKER, ADMIN) if key.encode() in request} == seen
