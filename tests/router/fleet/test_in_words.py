"""One line in the log for each worker that comes and goes."""

import dataclasses
import logging

import pytest

from router.dial.quoting import one_line
from router.fleet.in_words import in_words
from tests.router.fleets import facts, make_fleet, make_worker


def test_a_line_says_what_a_worker_serves() -> None:
    fleet = make_fleet(1, "a", "b")
    (worker,) = fleet.workers.values()
    assert in_words(worker) == "vllm 0.30; models: a, b; blocks of 16 tokens; 100,000 KV tokens"
    assert in_words(make_worker()) == "it has not said what it serves"


def test_many_models_are_counted_and_what_is_amiss_is_said() -> None:
    fleet = make_fleet(1)
    (worker,) = fleet.workers.values()
    worker.facts = dataclasses.replace(
        facts(*(f"m{number}" for number in range(9)), kv_tokens=0), prefix_caching=False, version="1\n2"
    )
    said = in_words(worker)
    assert "m3 and 5 more; blocks of 16 tokens; KV memory unknown; WITHOUT prefix caching" in said
    assert "1\\n2" in said


def test_no_text_of_a_worker_breaks_the_line() -> None:
    assert one_line("a\r\nERROR \x1b[31m\u2028b" + "c" * 500) == "a\\r\\nERROR \\x1b[31m\\u2028b" + "c" * 184
    assert len(one_line("c" * 500)) == 200


def test_a_worker_that_comes_or_goes_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "warmroute")
    fleet = make_fleet(1)
    (worker,) = fleet.workers.values()
    fleet.on_healthy(worker.id)
    fleet.on_unhealthy(worker.id, "no connection")
    fleet.on_healthy(worker.id)
    fleet.on_unhealthy("w-unknown", "no such worker")
    lines = [record.getMessage() for record in caplog.records]
    assert [
        line.partition(":")[0] for line in (one.removeprefix(f"worker {worker.url} ({worker.id}) ") for one in lines)
    ] == [
        "answers",
        "gets no requests",
        "answers",
    ]
    assert lines[1] == f"worker {worker.url} ({worker.id}) gets no requests: no connection"
