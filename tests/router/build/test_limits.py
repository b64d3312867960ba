"""What follows from the settings."""

import pytest

from router.build.limits import line_limits, realtime_limits
from router.build.tuning import DEFAULTS
from router.settings import Settings


@pytest.mark.parametrize(("drain_timeout_s", "expected_s"), [(60, 30.0), (3600, 30.0), (10, 5.0), (1, 0.5)])
def test_sessions_are_closed_before_the_drain_ends(drain_timeout_s: int, expected_s: float) -> None:
    assert realtime_limits(Settings(drain_timeout_s=drain_timeout_s), DEFAULTS).drain_s == expected_s


@pytest.mark.parametrize(("in_flight", "expected"), [(4096, 1024), (16, 4), (3, 1), (1, 1), (1_000_000, 250_000)])
def test_a_quarter_of_the_requests_in_flight_may_wait(in_flight: int, expected: int) -> None:
    assert line_limits(Settings(max_requests_in_flight=in_flight), DEFAULTS).max_requests == expected
