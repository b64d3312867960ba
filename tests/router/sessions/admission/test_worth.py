"""When it is worth while to wait."""

from router.sessions.admission.worth import WorkerDemand, turns_all_at_once, turns_with_places, worth_waiting


def demand(**changes: float) -> WorkerDemand:
    usual = {
        "sessions": 12.0, "places": 6.0, "pause_s": 2.0, "stay_s": 5.0, "load_s": 10.0, "new_s": 0.2, "kept_s": 2.0,
        "late": 0.05,
    }  # fmt: skip
    return WorkerDemand(**(usual | changes))


def test_short_pauses_and_long_loads_are_worth_waiting_for() -> None:
    assert turns_all_at_once(demand()) == 0.1
    assert turns_with_places(demand()) > 0.7
    assert worth_waiting(demand(), False)


def test_a_fast_worker_with_long_pauses_recomputes() -> None:
    fast = demand(load_s=1.0, pause_s=20.0, kept_s=15.0, late=0.5)
    assert not worth_waiting(fast, True)


def test_where_all_fit_waiting_costs_nothing() -> None:
    roomy = demand(sessions=4.0)
    assert turns_with_places(roomy) >= turns_all_at_once(roomy)


def test_it_does_not_flap() -> None:
    edge = demand(load_s=1.35, pause_s=4.0, kept_s=4.0, sessions=12.0, places=7.2)
    ratio = turns_with_places(edge) / turns_all_at_once(edge)
    assert 1.0 <= ratio < 1.15, ratio
    assert worth_waiting(edge, True)
    assert not worth_waiting(edge, False)
