"""What the page of metrics says of sessions."""

from prometheus_client import CollectorRegistry

from router.sessions.memory.session import Ending
from router.sessions.metrics import SessionCollector
from router.sessions.recognition.hints import Hint
from router.sessions.shared.fleet_book import FleetBook
from router.sessions.shared.telling import Taken
from tests.router.fleets import MODEL
from tests.router.sessions.admission.test_admission import BOUND_S, Site


class Page:
    """The values of a site's metrics."""

    def __init__(self, site: Site) -> None:
        self.registry = CollectorRegistry()
        self.book = FleetBook(site.admission)
        self.registry.register(SessionCollector(self.book, lambda: site.workers))
        self.worker = site.workers[0].id

    def of_worker(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"warmroute_{name}", {"worker": self.worker})

    def of_model(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"warmroute_{name}", {"model": MODEL, **labels})

    def of_router(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"warmroute_{name}", labels)


def test_a_worker_s_working_set_room_and_sessions() -> None:
    site = Site()
    page = Page(site)
    assert page.of_worker("session_tokens") is None, "no session was there"
    assert page.of_worker("session_room_tokens") == 100_000
    for name in "ab":
        site.run(name)
    held = page.of_worker("session_tokens")
    assert held is not None
    assert 60_000 < held < 62_000
    assert page.of_worker("session_room_tokens") == 95_000
    assert page.of_worker("sessions_inside") == 2
    assert page.of_worker("session_margin_ratio") == 0.95
    for _ in range(20):
        turn, prompt = site.arrive("a")
        turn.begin(site.workers[0])
        turn.left(prompt, True)
        turn.learn(True, 100, 15_000)
    assert page.of_worker("session_recomputed_ratio") == 0.5
    assert page.of_worker("session_room_tokens") == 85_500, "the margin has grown"


def test_a_model_s_line_leases_and_whether_it_holds_back() -> None:
    site = Site()
    page = Page(site)
    for name in "abc":
        site.run(name)
    waiting, _ = site.arrive("d")
    assert site.places(waiting) == []
    site.admission.wait(waiting)
    assert page.of_model("session_turns_waiting") == 1
    assert page.of_model("session_holds_back") == 1
    assert page.of_model("session_tstar_seconds") == 12.5
    lease_s = site.admission.demand(MODEL).lease_s(Ending.CALL)
    assert page.of_model("session_lease_seconds", ending="call") == lease_s > 0
    assert page.of_model("session_lease_seconds", ending="answer") == 0
    site.admission.demand(MODEL).holds_back = False
    assert page.of_model("session_holds_back") == 0
    site.admission.go(waiting)
    assert page.of_model("session_turns_waiting") == 0


def test_places_given_up_and_sessions_known() -> None:
    site = Site()
    page = Page(site)
    for name in "abc":
        site.run(name)
    assert page.of_router("sessions_known") == 3
    assert page.of_router("session_wait_bound_seconds") == BOUND_S
    assert page.of_router("sessions_refused_total") == 0
    assert site.admission.arrive(MODEL, {}, hint=Hint(dropped=True)) is None
    assert page.of_router("session_ids_dropped_total") == 1
    site.arrive("c", grow=30_000)[0].begin(site.workers[0])
    assert page.of_router("session_places_ended_total", reason="outgrown") == 1
    site.now += 30.0
    site.places(site.arrive("d")[0])
    assert page.of_router("session_places_ended_total", reason="lease") == 1
    assert page.of_router("session_places_ended_total", reason="rotation") == 0


def test_room_that_was_asked_for_is_counted_by_outcome() -> None:
    site = Site()
    page = Page(site)
    assert page.of_router("session_room_asked_total", outcome="no") == 0
    page.book.outcomes[Taken.NO] += 2
    assert page.of_router("session_room_asked_total", outcome="no") == 2
