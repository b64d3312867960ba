"""What an operator sees of sessions: which workers' memory they need, who waits for room, and who gave a place up."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.fleet.worker import Worker
from router.sessions.admission.model_demand import ModelDemand
from router.sessions.memory.session import Ending
from router.sessions.shared.fleet_book import FleetBook

Row = tuple[tuple[str, ...], float]
"""Label values and value."""


class SessionCollector(Collector):
    """Labels are workers, models that workers serve, and a few fixed words."""

    def __init__(self, book: FleetBook, workers: Callable[[], Iterable[Worker]]) -> None:
        self._book = book
        self._admission = book.admission
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """Of each worker, of each model, and of the whole router."""
        yield from self._of_workers()
        yield from self._of_models()
        yield from self._of_the_router()

    def _of_workers(self) -> Iterator[Metric]:
        rows = [(worker, self._admission.set_of(worker)) for worker in list(self._workers())]
        known = [(worker.id, place) for worker, place in rows if place is not None]
        room = self._admission.room
        yield _gauge(
            "warmroute_session_tokens",
            "KV tokens that the sessions inside need together, shared ones once.",
            ("worker",),
            [((worker,), place.tokens) for worker, place in known],
        )
        yield _gauge(
            "warmroute_session_room_tokens",
            "KV tokens that the sessions inside may need.",
            ("worker",),
            [((worker.id,), room(worker)) for worker, _ in rows],
        )
        yield _gauge(
            "warmroute_sessions_inside",
            "Sessions whose memory is kept for them.",
            ("worker",),
            [((worker,), len(place.sessions)) for worker, place in known],
        )
        yield _gauge(
            "warmroute_session_margin_ratio",
            "Share of the KV memory that sessions may need.",
            ("worker",),
            [((worker,), place.margin.share) for worker, place in known],
        )
        yield _gauge(
            "warmroute_session_recomputed_ratio",
            "Share of what was kept for sessions that was recomputed all the same, over their last turns.",
            ("worker",),
            [((worker,), place.margin.recomputed_share) for worker, place in known],
        )

    def _of_models(self) -> Iterator[Metric]:
        demands = self._admission.demands()
        holds_back = self._admission.holds_back
        yield _gauge(
            "warmroute_session_turns_waiting",
            "Turns that wait for room in the workers' KV memory.",
            ("model",),
            [((model,), len(demand.waiting)) for model, demand in demands],
        )
        yield _gauge(
            "warmroute_session_holds_back",
            "1 while sessions that do not fit wait, 0 while all go at once.",
            ("model",),
            [((model,), float(holds_back(model))) for model, _ in demands],
        )
        yield _gauge(
            "warmroute_session_tstar_seconds",
            "T*: the time in which a worker recomputes its whole KV memory.",
            ("model",),
            [((model,), demand.tstar_s) for model, demand in demands],
        )
        yield _gauge(
            "warmroute_session_lease_seconds",
            "For how long memory is kept after a turn, by how the turn ended.",
            ("model", "ending"),
            [row for model, demand in demands for row in _leases(model, demand)],
        )

    def _of_the_router(self) -> Iterator[Metric]:
        admission = self._admission
        ended = CounterMetricFamily("warmroute_session_places_ended", "Places given up, by why.", labels=("reason",))
        for reason, count in (
            ("lease", admission.expired),
            ("rotation", admission.rotated),
            ("outgrown", admission.outgrown),
        ):
            ended.add_metric((reason,), count)
        yield ended
        asked = CounterMetricFamily(
            "warmroute_session_room_asked",
            "Room asked for where there are other routers, by outcome.",
            labels=("outcome",),
        )
        for outcome, count in self._book.outcomes.items():
            asked.add_metric((outcome.value,), count)
        yield asked
        yield CounterMetricFamily(
            "warmroute_sessions_refused", "New sessions refused: too many wait for room.", value=admission.refused
        )
        yield CounterMetricFamily(
            "warmroute_session_ids_dropped",
            "Requests whose session id was dropped: too long, or no text.",
            value=admission.ids_dropped,
        )
        yield GaugeMetricFamily("warmroute_sessions_known", "Sessions remembered.", value=len(admission.book))
        yield GaugeMetricFamily(
            "warmroute_session_wait_bound_seconds", "The setting session_wait_s.", value=admission.bound_s
        )


def _leases(model: str, demand: ModelDemand) -> list[Row]:
    return [((model, ending.name.lower()), demand.lease_s(ending)) for ending in Ending]


def _gauge(name: str, help_text: str, labels: tuple[str, ...], rows: Iterable[Row]) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family
