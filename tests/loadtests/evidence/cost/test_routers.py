"""Warmroute's own metrics, and command lines."""

import math

import pytest

from loadtests.evidence.cost import routers


def _metrics(fast: int, slow: int) -> str:
    return (
        "# TYPE warmroute_encode_cpu_seconds counter\nwarmroute_encode_cpu_seconds_total 0.25\n"
        "# TYPE warmroute_tokenizers_loading gauge\nwarmroute_tokenizers_loading 1.0\n"
        "# TYPE warmroute_loop_lag_seconds histogram\n"
        'warmroute_loop_lag_seconds_bucket{le="0.002"} 7\nwarmroute_loop_lag_seconds_bucket{le="0.005"} 8\n'
        'warmroute_loop_lag_seconds_bucket{le="+Inf"} 9\n'
        "# TYPE warmroute_overhead_seconds histogram\n"
        f'warmroute_overhead_seconds_bucket{{le="0.001"}} {fast}\n'
        f'warmroute_overhead_seconds_bucket{{le="0.005"}} {fast + slow}\n'
        f'warmroute_overhead_seconds_bucket{{le="+Inf"}} {fast + slow}\n'
    )


def test_own_metrics_are_read() -> None:
    said = routers.Said.parse(_metrics(1, 1))
    assert said.encode_ms == 250.0
    assert said.tokenizers_loading == 1.0
    before = routers.Said(0.0, 0.0, {0.002: 6.0, 0.005: 7.0, math.inf: 8.0}, {})
    assert said.stall_ms(before) == 2.0, "what was before does not count"
    assert said.stall_ms(routers.Said(0.0, 0.0, {}, {})) == math.inf


def test_overhead_quantiles_are_of_the_time_between_two_readings() -> None:
    before, after = routers.Said.parse(_metrics(0, 100)), routers.Said.parse(_metrics(98, 102))
    assert after.overhead_ms(before, 0.5) == 1.0
    assert after.overhead_ms(before, 0.99) == 5.0
    assert after.overhead_ms(after, 0.5) == 0.0


@pytest.mark.parametrize("name", sorted(routers.ARMS))
def test_every_arm_is_told_its_port_and_workers(name: str) -> None:
    setup = routers.Setup("/venv/python", ["http://127.0.0.1:1", "http://127.0.0.1:2"], 8080, 8081, "tok", ("--extra",))
    command = routers.ARMS[name](setup)
    assert command[0] == "/venv/python"
    assert command[command.index("--port") + 1] == "8080"
    assert {"http://127.0.0.1:1", "http://127.0.0.1:2"} <= set(command)
    assert ("--extra" in command) is (name == "warmroute")
