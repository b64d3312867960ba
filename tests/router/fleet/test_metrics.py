"""Each worker has its samples."""

from router.fleet.metrics import WorkerCollector
from tests.router.fleets import make_fleet
from tests.router.metrics_page import page


def test_each_worker_has_its_load_and_health() -> None:
    fleet = make_fleet(2)
    worker = next(iter(fleet.workers.values()))
    worker.queue_prefill(123)
    found = page(WorkerCollector(fleet.workers.values))
    assert found[f"warmroute_worker_queued_tokens{{worker={worker.id}}}"] == 123
    assert found[f"warmroute_worker_healthy{{worker={worker.id}}}"] == 1
    assert found[f"warmroute_worker_breaker_open{{worker={worker.id}}}"] == 0
    assert found[f"warmroute_worker_info{{url={worker.url},worker={worker.id}}}"] == 1
