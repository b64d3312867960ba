"""One worker's findings, by what it said."""

import dataclasses

import pytest

from router.check.worker import advice_for, of_state
from tests.router.fleets import facts, make_fleet


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prefix_caching": False}, "prefix caching is off"),
        ({"kv_capacity_tokens": 0}, "does not tell its KV memory"),
        ({"engine": "unknown"}, "neither vLLM nor SGLang"),
        ({}, "shows no load"),
    ],
)
def test_what_costs_predictions_is_said_with_what_to_do(changes: dict[str, object], said: str) -> None:
    fleet = make_fleet(1)
    (worker,) = fleet.workers.values()
    worker.facts = dataclasses.replace(facts(), **changes)  # type: ignore[arg-type]
    found = [one for one in of_state(worker) if said in one.text]
    assert len(found) == 1
    assert found[0].level != "ok"
    assert found[0].advice


def test_a_worker_that_cannot_be_used_says_why() -> None:
    fleet = make_fleet(1)
    (worker,) = fleet.workers.values()
    fleet.on_unhealthy(worker.id, "/metrics: HTTP 404")
    (found,) = of_state(worker)
    assert (found.level, found.text) == ("error", "/metrics: HTTP 404")
    assert "/v1" in found.advice


def test_every_reason_has_some_advice() -> None:
    assert advice_for("one half of a pair") == "see the engine's log"
    assert "--worker-ca" in advice_for("/metrics: no answer (ConnectError)")
    assert "firewall" in advice_for("/metrics: no answer in time")
