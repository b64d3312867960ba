"""The bucket against the clock."""

from hypothesis import given
from hypothesis import strategies as st

from router.clients.bucket import Bucket
from tests.router.clients.clock import Clock


def test_refills_evenly_and_saves_a_minute() -> None:
    clock = Clock()
    bucket = Bucket(60, clock)
    bucket.take(60)
    assert bucket.level == 0
    clock.now += 10
    assert bucket.level == 10
    assert bucket.wait_s(15) == 5
    assert bucket.reset_s() == 50
    clock.now += 3600
    assert bucket.level == 60
    assert bucket.reset_s() == 0


def test_what_is_owed_is_paid_back_first() -> None:
    bucket = Bucket(60, Clock())
    bucket.take(90)
    assert bucket.level == -30
    assert bucket.wait_s(1) == 31
    bucket.take(-20)
    assert bucket.level == -10


def test_a_wait_for_more_than_the_limit_ends_when_it_is_full() -> None:
    bucket = Bucket(60, Clock())
    bucket.take(60)
    assert bucket.wait_s(1000) == 60


def test_another_limit_keeps_what_was_taken() -> None:
    bucket = Bucket(100, Clock())
    bucket.take(40)
    bucket.change(200)
    assert bucket.level == 160
    bucket.change(30)
    assert bucket.level == 0, "a lower limit leaves no debt"


@given(
    st.integers(1, 1000),
    st.lists(st.tuples(st.floats(0, 100, allow_nan=False), st.integers(0, 50)), max_size=40),
)
def test_never_gives_more_than_the_limit_and_one_overdraft(limit: int, steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    bucket = Bucket(limit, clock)
    taken, largest = 0, 0
    for pause, amount in steps:
        clock.now += pause
        if bucket.level > 0:
            bucket.take(amount)
            taken, largest = taken + amount, max(largest, amount)
    allowed = limit + (clock.now - 1000.0) * limit / 60
    assert taken <= allowed + largest + 1e-6
