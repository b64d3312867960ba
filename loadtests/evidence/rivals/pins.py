"""The oracle: knows which requests are one session, which workers are well and how fast they are."""

from collections.abc import Mapping


class Pins:
    """Pins each session to the worker with the fewest live ones for its speed. A session whose worker is down moves."""

    def __init__(self, speeds: Mapping[int, float]) -> None:
        self._speeds = speeds
        self._homes: dict[str, int] = {}
        self.down: set[int] = set()

    def home(self, session: str) -> int:
        """The session's worker."""
        home = self._homes.get(session)
        if home is None or home in self.down:
            self._homes.pop(session, None)
            live = [0] * len(self._speeds)
            for other in self._homes.values():
                live[other] += 1
            well = [worker for worker in self._speeds if worker not in self.down]
            home = self._homes[session] = min(well, key=lambda worker: (live[worker] + 1) / self._speeds[worker])
        return home

    def ended(self, session: str) -> None:
        """Forget the session: its last answer is complete."""
        self._homes.pop(session, None)
