"""Which workers serve which model, and in whose order of load they are."""

from dataclasses import replace

from router.engines import ModelCard
from router.fleet.groups import groups_of
from tests.router.fleets import facts, make_fleet


def test_a_worker_is_in_the_group_of_each_model_that_it_serves_and_in_that_of_all() -> None:
    fleet = make_fleet(1, "a", "b")
    other = fleet.add("http://other:1")
    fleet.on_facts(other.id, facts("b"))
    fleet.on_healthy(other.id)
    both, alone = fleet.workers.values()
    everyone, groups = groups_of([both, alone])
    assert everyone.workers == [both, alone]
    assert {name: group.workers for name, group in groups.items()} == {"a": [both], "b": [both, alone]}
    assert groups["b"].by_holder == {both.holder: both, alone.holder: alone}
    assert groups["b"].holders == (both.holder, alone.holder)


def test_an_order_is_kept_from_its_first_use_on() -> None:
    fleet = make_fleet(2, "a")
    one, other = fleet.workers.values()
    everyone, groups = groups_of([one, other])
    assert one.orders == []
    assert everyone.order.lowest(2) == [one, other]
    assert one.orders == other.orders == [everyone.order]
    one.count_in_flight(1)
    assert everyone.order.lowest(1) == groups["a"].order.lowest(1) == [other]
    assert groups_of([one, other])[0] is not everyone
    assert one.orders == []


def test_a_worker_out_of_service_is_listed_but_in_no_order_of_load() -> None:
    fleet = make_fleet(2, "a")
    drained, serving = fleet.workers.values()
    fleet.drain(drained.id)
    everyone, groups = groups_of([drained, serving])
    assert groups["a"].workers == everyone.workers == [drained, serving]
    assert groups["a"].order.lowest(5) == everyone.order.lowest(5) == [serving]
    assert drained.orders == []


def test_an_order_begins_with_the_load_that_a_worker_has() -> None:
    fleet = make_fleet(2, "a")
    busy, idle = fleet.workers.values()
    busy.count_in_flight(1)
    _, groups = groups_of([busy, idle])
    assert groups["a"].order.lowest(2) == [idle, busy]


def test_an_adapter_names_its_base_and_a_model_its_root_and_its_longest_length() -> None:
    fleet = make_fleet(2)
    for worker, length in zip(fleet.workers.values(), (1000, 4000), strict=True):
        cards = (ModelCard("base", "/models/base", "", length), ModelCard("adapter", "", "base", length))
        fleet.on_facts(worker.id, replace(facts(), models=cards))
    _, groups = groups_of(fleet.workers.values())
    assert (groups["adapter"].base, groups["adapter"].root) == ("base", "adapter")
    assert (groups["base"].base, groups["base"].root) == ("base", "/models/base")
    assert groups["base"].max_model_len == 4000
