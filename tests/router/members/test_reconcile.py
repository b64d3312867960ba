"""The fleet follows its sources: who joins, who is drained, who comes back, who is let be."""

import pytest

from router.dial.allow import Implied
from router.fleet.labels import Labels
from router.fleet.lease import Lease
from router.fleet.worker import Worker
from router.members.reconcile import Feed, Reconciler
from router.members.source import WorkerSpec
from tests.router.fleets import facts
from tests.router.members.findings import Told, membership

A, B, C = "http://10.0.0.1:8000", "http://10.0.0.2:8000", "http://10.0.0.3:8000"


class Site:
    """A reconciler over two sources, with a clock that stands still."""

    def __init__(
        self, *rules: str, listed: tuple[str, ...] = (), implied: Implied | None = None, roles: tuple[str, ...] = ()
    ) -> None:
        self.now = 100.0
        self.members = membership(*rules, listed=listed)
        sources = (Told("one", implied), Told("two"))
        self.reconciler = Reconciler(self.members, sources, lambda: self.now, 30.0, roles)
        self.one, self.two = self.reconciler.feeds

    def worker(self, url: str) -> Worker | None:
        return next((worker for worker in self.members.fleet.workers.values() if worker.url == url), None)

    @property
    def states(self) -> dict[str, bool]:
        """URL -> draining."""
        return {worker.url: worker.draining for worker in self.members.fleet.workers.values()}


def say(feed: Feed, *urls: str) -> None:
    feed.found([WorkerSpec(url) for url in urls])


def test_a_set_joins_and_a_second_source_adds_to_it() -> None:
    site = Site("10.0.0.0/8")
    say(site.one, A, B)
    say(site.two, B, C)
    assert site.states == {A: False, B: False, C: False}
    assert site.worker(A).source == "one"  # type: ignore[union-attr]
    say(site.one, A)
    assert site.states == {A: False, B: False, C: False}  # the other still names B


def test_who_left_is_drained_then_removed_when_idle_and_the_time_is_over() -> None:
    site = Site("10.0.0.0/8")
    say(site.one, A, B)
    lease = Lease(site.worker(B), 0, 0)  # type: ignore[arg-type]
    with lease:
        say(site.one, A)
        assert site.states == {A: False, B: True}
        assert site.reconciler.leaving == 1
        site.now += 31
        site.reconciler.follow()
        assert site.states == {A: False, B: True}
    site.reconciler.follow()
    assert site.states == {A: False}
    assert site.reconciler.leaving == 0


def test_who_comes_back_in_time_is_the_same_worker_and_takes_requests_again() -> None:
    site = Site("10.0.0.0/8")
    say(site.one, A)
    before = site.worker(A)
    say(site.one)
    assert site.states == {A: True}
    site.now += 29
    say(site.one, A)
    site.now += 29
    site.reconciler.follow()
    assert site.states == {A: False}
    assert site.worker(A) is before


def test_what_an_operator_drained_stays_drained() -> None:
    site = Site("10.0.0.0/8")
    say(site.one, A)
    site.members.fleet.drain(site.worker(A).id)  # type: ignore[union-attr]
    say(site.one)
    say(site.one, A)
    assert site.states == {A: True}


def test_terminating_workers_are_drained_and_never_join() -> None:
    site = Site("10.0.0.0/8")
    say(site.one, A)
    site.one.found([WorkerSpec(A, draining=True), WorkerSpec(B, draining=True)])
    assert site.states == {A: True}
    say(site.one, A)
    assert site.states == {A: False}


def test_listed_and_administered_workers_are_let_be() -> None:
    site = Site("10.0.0.0/8", listed=(A,))
    site.members.join(A, "listed")
    site.members.join(B, "admin")
    say(site.one, A, B, C)
    say(site.one)
    site.now += 100
    site.reconciler.follow()
    assert site.states == {A: False, B: False}


def test_a_worker_that_an_operator_removed_comes_back_while_a_source_names_it() -> None:
    site = Site("10.0.0.0/8")
    say(site.one, A)
    before = site.worker(A)
    site.members.leave(before.id)  # type: ignore[union-attr]
    site.reconciler.follow()
    assert site.worker(A) not in (None, before)


def test_another_generation_at_the_same_url_is_another_worker() -> None:
    site = Site("10.0.0.0/8")
    site.one.found([WorkerSpec(A, generation="1")])
    before = site.worker(A)
    site.one.found([WorkerSpec(A, generation="2")])
    assert site.worker(A) not in (None, before)
    assert site.states == {A: False}


def test_a_failed_source_keeps_its_set() -> None:
    site = Site("10.0.0.0/8")
    say(site.one, A)
    site.now += 500
    site.one.failed("no answer")
    site.reconciler.follow()
    assert site.states == {A: False}
    assert (site.one.failures, site.one.good_at) == (1, 100.0)


def test_only_what_is_allowed_joins_and_the_rest_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    site = Site("10.0.0.0/30")
    say(site.one, A, "http://10.0.0.9:8000", "http://169.254.169.254", "http://user@x", "file:///etc/passwd")
    site.reconciler.follow()
    assert site.states == {A: False}
    assert site.one.refused == 4
    assert sum("is refused" in record.getMessage() for record in caplog.records) == 4


def test_a_source_may_imply_what_another_may_not() -> None:
    site = Site(implied=Implied("http", 8000))
    say(site.two, A)
    assert site.states == {}
    say(site.one, A, "http://10.0.0.1:22")
    assert site.states == {A: False}
    assert site.worker(A).source == "one"  # type: ignore[union-attr]


def test_labels_say_which_models_a_worker_gets_and_may_change() -> None:
    site = Site("10.0.0.0/8")
    site.one.found([WorkerSpec(A, Labels(frozenset({"m"}), "chat"))])
    fleet, worker = site.members.fleet, site.worker(A)
    assert worker is not None
    fleet.on_facts(worker.id, facts("m", "n"))
    assert set(fleet.groups) == {"m"}
    site.one.found([WorkerSpec(A, Labels(frozenset({"n"}), "chat"))])
    assert set(fleet.groups) == {"n"}
    site.one.found([WorkerSpec(A)])
    assert set(fleet.groups) == {"m", "n"}
    assert site.worker(A) is worker


def test_only_workers_of_the_wanted_roles_are_taken() -> None:
    site = Site("10.0.0.0/8", roles=("chat",))
    site.one.found([WorkerSpec(A, Labels(role="chat")), WorkerSpec(B, Labels(role="batch")), WorkerSpec(C)])
    assert site.states == {A: False}
    site.one.found([WorkerSpec(A, Labels(role="batch")), WorkerSpec(B, Labels(role="chat"))])
    assert site.states == {A: True, B: False}


def test_urls_that_mean_the_same_are_one_worker() -> None:
    site = Site("10.0.0.0/8")
    say(site.one, A + "/", "http://[::ffff:10.0.0.1]:8000")
    assert site.states == {A: False}
