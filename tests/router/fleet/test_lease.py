"""Leases sum to zero after any mix of beginnings, first bytes and ends."""

from hypothesis import given
from hypothesis import strategies as st

from router.fleet.lease import Lease
from router.fleet.load_order import LoadOrder
from router.fleet.others import Elsewhere
from router.fleet.worker import Gauges, Worker
from tests.router.fleets import make_worker

Steps = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["begin", "first_byte", "end"])), max_size=60)


@given(Steps, st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 200_000)), min_size=6, max_size=6))
def test_counts_return_to_zero_whatever_the_order(steps: list[tuple[int, str]], sizes: list[tuple[int, int]]) -> None:
    worker = make_worker()
    order: LoadOrder[Worker] = LoadOrder()
    order.add(worker, 0)
    worker.orders.append(order)
    leases: dict[int, Lease] = {}
    for number, step in steps:
        if step == "begin" and number not in leases:
            prompt, uncached = sizes[number]
            leases[number] = Lease(worker, prompt, uncached).__enter__()
        elif step == "first_byte" and number in leases:
            leases[number].first_byte()
        elif step == "end" and number in leases:
            leases.pop(number).__exit__(None, None, None)
        assert worker.running.in_flight == len(leases)
        assert worker.running.queued_tokens >= 0
        assert worker.running.held_tokens == sum(lease.prompt_tokens for lease in leases.values())
        assert order.lowest(1) == [worker]
    for lease in leases.values():
        lease.__exit__(None, None, None)
        lease.__exit__(None, None, None)  # a second end must not count
    assert (worker.running.in_flight, worker.running.queued_tokens, worker.running.held_tokens) == (0, 0, 0)


def test_first_byte_ends_the_wait_but_not_the_hold() -> None:
    worker = make_worker()
    with Lease(worker, 1000, 300) as lease:
        assert (worker.running.in_flight, worker.running.held_tokens, worker.running.queued_tokens) == (1, 1000, 300)
        lease.first_byte()
        assert (worker.running.in_flight, worker.running.held_tokens, worker.running.queued_tokens) == (1, 1000, 0)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_prompt_that_has_the_worker_to_itself_is_timed() -> None:
    clock = Clock()
    worker = make_worker(clock=clock)

    def time_to_first(others: int = 0, come: int = 0, shows_prefill: bool = True) -> float:
        """With `others` there before it, and `come` that come before its first byte."""
        crowd = [Lease(worker, 10, 10).__enter__() for _ in range(others)]
        with Lease(worker, 1000, 300, shows_prefill) as lease:
            crowd += [Lease(worker, 10, 10).__enter__() for _ in range(come)]
            clock.now += 0.5
            lease.first_byte()
            clock.now += 3
            lease.first_byte()
        for other in crowd:
            other.__exit__(None, None, None)
        return lease.alone_s

    assert time_to_first() == 0.5
    assert time_to_first(others=1) == 0
    assert time_to_first(come=1) == 0
    assert time_to_first(shows_prefill=False) == 0, "its first byte comes with its last one"
    elsewhere = Elsewhere(0, 0, 0)
    worker.elsewhere = lambda now: elsewhere
    assert time_to_first() == 0.5
    elsewhere = Elsewhere(1, 0, 0)
    assert time_to_first() == 0, "another router has a request there"
    worker.elsewhere = None
    worker.gauges = Gauges(waiting=1)
    assert time_to_first() == 0


def test_an_exception_ends_the_lease() -> None:
    worker = make_worker()
    ended: list[bool] = []
    try:
        with Lease(worker, 10, 10) as lease:
            lease.on_end = lambda: ended.append(True)
            raise TimeoutError
    except TimeoutError:
        pass
    assert worker.running.in_flight == 0
    assert ended == [True]
