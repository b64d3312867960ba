"""A clock that tests set."""


class Clock:
    """Seconds; stands still until told."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
