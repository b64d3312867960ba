"""Who joins is probed: at once when a request to it fails, and no longer once it has left."""

import random
import time

from router.dial.allow import AllowList, read_rule
from router.engines.probe import ProbeConfig, Prober
from router.members.membership import Membership
from tests.router.fake_worker import FakeWorker, client, vllm
from tests.router.fleets import make_fleet
from tests.router.shared.conftest import until

PATIENT = ProbeConfig(interval_s=3600, health_interval_s=3600, facts_interval_s=3600)


async def test_a_worker_that_a_request_failed_at_is_looked_at_at_once() -> None:
    fleet = make_fleet(0)
    looks = Prober(fleet, client(), time.monotonic, random.Random(1), PATIENT)
    async with FakeWorker(vllm()) as engine, looks as prober:
        members = Membership(fleet, AllowList([read_rule("127.0.0.0/8")], ()), prober)
        worker = members.join(engine.url, "listed")
        await until(lambda: worker.healthy and worker.load is not None)
        engine.asked.clear()
        worker.suspect()
        await until(lambda: "/health" in engine.asked)
        members.leave(worker.id)
        assert not fleet.workers
        worker.suspect()  # nobody looks any more
