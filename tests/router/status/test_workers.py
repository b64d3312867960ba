"""One worker as an operator sees it: its state, its hits, and the sessions in its memory."""

from router.fleet.lease import Lease
from router.observe.metrics import Instruments
from router.status.workers import MOST_SESSIONS, describe, hits, memory
from tests.router.fleets import MODEL, make_fleet, make_worker
from tests.router.sessions.admission.test_admission import Site


def test_a_worker_that_serves() -> None:
    (worker,) = make_fleet(1).workers.values()
    with Lease(worker, prompt_tokens=300, uncached_tokens=200):
        told = describe(worker)
    assert (told["state"], told["breaker"], told["models"]) == ("healthy", "closed", [MODEL])
    assert (told["in_flight"], told["in_flight_here"], told["held_tokens"]) == (1, 1, 300)
    assert told["kv_capacity_tokens"] == 100_000
    assert told["engine"] == "vllm"
    assert told["rank"] is None


def test_a_worker_that_was_never_reached() -> None:
    told = describe(make_worker())
    assert (told["engine"], told["version"], told["block_tokens"], told["models"]) == (None, None, None, [])
    assert (told["in_flight"], told["kv_capacity_tokens"]) == (0, 0)


def test_hits_are_those_of_this_worker() -> None:
    fleet, instruments = make_fleet(2), Instruments()
    one, other = fleet.workers.values()
    instruments.reported_prompt_tokens.add(1000, (one.id,))
    instruments.predicted_cached_tokens.add(800, (one.id,))
    instruments.cached_tokens.add(700, (one.id,))
    assert hits(instruments, one) == {
        "prompt_tokens": 1000,
        "predicted_tokens": 800,
        "cached_tokens": 700,
        "not_reported": 0,
    }
    assert set(hits(instruments, other).values()) == {0.0}


def test_sessions_in_its_memory() -> None:
    site = Site()
    (worker,) = site.workers
    assert memory(worker, site.admission, 7, site.now)["sessions"] == []
    site.run("a")
    turn, _ = site.arrive("b")
    turn.begin(worker)
    site.now += 0.5
    told = memory(worker, site.admission, 7, site.now)
    pausing, running = told["sessions"]
    assert (pausing["state"], pausing["turns"], pausing["idle_s"]) == ("pausing", 1, 0.5)
    assert pausing["inside_s"] == 1.5
    assert (running["state"], running["idle_s"], running["lease_s"]) == ("running", 0.0, 0.0)
    assert (told["capacity_tokens"], told["indexed_tokens"], told["sessions_total"]) == (100_000, 7, 2)
    assert told["session_tokens"] == site.tokens()
    assert 0 < told["room_tokens"] < 100_000


def test_of_many_sessions_the_first_are_told_and_all_counted() -> None:
    site = Site()
    site.give_memory(10_000_000)
    for number in range(MOST_SESSIONS + 5):
        site.run(f"s{number}", seconds=0.0)
    told = memory(site.workers[0], site.admission, 0, site.now)
    assert len(told["sessions"]) == MOST_SESSIONS
    assert told["sessions_total"] == MOST_SESSIONS + 5
