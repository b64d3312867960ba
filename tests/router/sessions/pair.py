"""Several routers that tell each other of their sessions, with a clock made by hand and a list for a stream."""

from router.fleet.worker import Worker
from router.sessions.recognition.turn import Turn
from router.sessions.shared.fleet_book import FleetBook
from router.sessions.shared.telling import Taken
from tests.router.fleets import MODEL
from tests.router.sessions.admission.test_admission import Site


class Told(Site):
    """One router of several. All of them have workers of the same names."""

    def __init__(self, number: int, stream: list[tuple[str, bytes, bool]], workers: int = 1) -> None:
        super().__init__(workers)
        self.name = f"r{number}"
        self.book = FleetBook(self.admission, self.name, lambda: self.now)
        self.book.shared, self.book.asks, self.book.take = True, False, self.take
        self.stream = stream
        self.read = 0

    def hear(self) -> bool:
        """What the others have told. Returns whether any of it takes room."""
        new, self.read = self.stream[self.read :], len(self.stream)
        for router, batch, _ in new:
            if router != self.name:
                self.book.hear(router, batch, 0.0)
        return any(takes for router, _, takes in new if router != self.name)

    def tell(self, anyway: bool = False) -> None:
        batch = self.book.write(anyway)
        if batch is not None:
            self.stream.append((self.name, batch, False))

    async def take(self, batch: bytes) -> Taken:
        if self.hear():
            return Taken.NO
        self.stream.append((self.name, batch, True))
        return Taken.YES

    def begin(self, name: str, worker: Worker | None = None, grow: int = 0) -> Turn:
        turn, _ = self.arrive(name, grow)
        self.places(turn)
        turn.begin(worker or self.workers[0])
        return turn


class Routers:
    """So many routers."""

    def __init__(self, count: int = 2, workers: int = 1) -> None:
        self.stream: list[tuple[str, bytes, bool]] = []
        self.all = [Told(number, self.stream, workers) for number in range(count)]
        for each in self.all:
            each.lengths = self.all[0].lengths  # the same clients

    def talk(self) -> None:
        """All tell what is new, and hear it."""
        for each in self.all:
            each.tell()
        for each in self.all:
            each.hear()

    def wait(self, seconds: float) -> None:
        for each in self.all:
            each.now += seconds

    def agree(self) -> tuple[int, int]:
        """Tokens and sessions inside of the first worker: all routers must say the same."""
        found = set()
        for each in self.all:
            place = each.admission.sets.get(each.workers[0].holder)
            found.add((place.tokens, len(place.sessions)) if place is not None else (0, 0))
        assert len(found) == 1, found
        return found.pop()


__all__ = ["MODEL", "Routers", "Told"]
