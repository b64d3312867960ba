"""What is known of one worker, over all routers, and who is told of it."""

import pytest

from router.fleet.lease import Lease
from router.fleet.load_order import LoadOrder
from router.fleet.others import Elsewhere
from router.fleet.worker import Worker, chain_block_tokens
from tests.router.fleets import a_load, make_fleet, make_worker


@pytest.mark.parametrize(
    ("engine", "index"), [(0, 64), (1, 64), (16, 64), (32, 64), (64, 64), (48, 96), (128, 128), (528, 528)]
)
def test_the_index_block_is_a_multiple_of_the_engines_block(engine: int, index: int) -> None:
    assert chain_block_tokens(engine) == index


def test_what_is_known_to_be_there_is_of_all_routers() -> None:
    worker = make_worker()
    with Lease(worker, 1000, 300):
        assert worker.known() == (1, 300, 1000)
        worker.elsewhere = lambda now: Elsewhere(2, 4000, 9000)
        assert worker.known() == (3, 4300, 10_000)


def test_prefill_is_expected_behind_what_other_routers_queued() -> None:
    worker = make_worker(clock=lambda: 100.0)
    worker.elsewhere = lambda now: Elsewhere(1, 16_000, 16_000)
    assert worker.queue_prefill(8_000) == 103.0


def test_the_room_is_what_running_requests_leave_of_the_pool() -> None:
    fleet = make_fleet(1)
    (worker,) = fleet.workers.values()
    assert worker.room_tokens() == 100_000
    with Lease(worker, 30_000, 0):
        assert worker.room_tokens() == 70_000
        fleet.on_load(worker.id, a_load(running=1, kv_usage=0.75))
        assert worker.room_tokens() == 25_000, "the engine knows of more"
        fleet.on_load(worker.id, a_load(running=1, waiting=1))
        assert worker.room_tokens() == 0, "while requests wait, it evicts before it admits"
    assert make_worker().room_tokens() == 0, "nobody has read its facts"


def test_load_orders_go_by_the_requests_of_all_routers() -> None:
    here, there = make_worker("http://a:1"), make_worker("http://b:1")
    order: LoadOrder[Worker] = LoadOrder()
    for worker in (here, there):
        order.add(worker, 0)
        worker.orders.append(order)
    there.set_elsewhere(2)
    here.count_in_flight(1)
    assert order.lowest(2) == [here, there]
    here.count_in_flight(1)
    there.set_elsewhere(1)
    assert order.lowest(2) == [there, here]


def test_the_end_of_the_last_request_and_a_failure_are_told() -> None:
    worker, told = make_worker(), []
    worker.suspect()
    worker.on_suspect = lambda: told.append("suspect")
    worker.on_idle.append(lambda: told.append("idle"))
    worker.suspect()
    with Lease(worker, 0, 0), Lease(worker, 0, 0):
        assert told == ["suspect"]
    assert told == ["suspect", "idle"]
