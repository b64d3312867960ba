"""Each worker that is listened to has its samples."""

from collections import Counter

from router.kv_events.follower import HeardWorker
from router.kv_events.metrics import EventCollector
from tests.router.fleets import make_worker
from tests.router.kv_events.test_wire import SOURCE
from tests.router.metrics_page import page


def test_events_are_counted_for_each_worker() -> None:
    worker = make_worker()
    heard = HeardWorker(worker, SOURCE, complete=True, blocks=7, counts=Counter(stored=9))
    found = page(EventCollector(lambda: [heard]))
    assert found[f"warmroute_kv_events_complete{{worker={worker.id}}}"] == 1
    assert found[f"warmroute_kv_events_blocks{{worker={worker.id}}}"] == 7
    assert found[f"warmroute_kv_events_total{{kind=stored,worker={worker.id}}}"] == 9
