"""What this router believes about workers: the newest decision of each. Pure: no I/O, time is given.

What must not be broken: nothing old replaces anything new, a removal outlives every copy of what it removed, and that
something is missing in Redis says nothing.
"""

from collections.abc import Callable, Iterator
from enum import Enum

from router.dial.allow import NotAllowedError
from router.members.entry import Entry, Standing

DAY_S = 24 * 3600
MAX_AGE_S = 7 * DAY_S
"""An entry that no router has signed for so long is refused: it may be a copy of what has been removed since. Routers
that have all been away for longer forget what was decided through the admin API."""
RENEW_S = DAY_S / 2
"""Age at which a router signs what it holds again."""
TOMB_S = MAX_AGE_S + DAY_S
"""A removal is kept longer than any copy of what it removed can be believed."""
MAX_AHEAD_S = 600
"""Clocks of routers may differ by so much. A decision from farther in the future could never be replaced."""
MAX_ENTRIES = 10_000


class EntryOutcome(Enum):
    """What became of an entry that was read. Values are metric labels."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    REPLAYED = "replayed"
    """Older than what is known."""
    STALE = "stale"
    """Signed too long ago."""
    FUTURE = "future"
    MISPLACED = "misplaced"
    """Its id is not that of its URL, or it lies under another worker's id."""
    NOT_ALLOWED = "not_allowed"
    """This router's allow-list refuses the URL."""
    FULL = "full"


class Book:
    """The entries that hold. `check` is the allow-list's, `worker_id` makes an id of a URL."""

    def __init__(self, check: Callable[[str], str], worker_id: Callable[[str], str]) -> None:
        self._check = check
        self._worker_id = worker_id
        self._entries: dict[str, Entry] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def get(self, worker: str) -> Entry | None:
        """What is known of this worker."""
        return self._entries.get(worker)

    def decide(self, entry: Entry) -> Entry:
        """A decision made here: it follows all that is known. Returns it as it holds."""
        known = self._entries.get(entry.worker)
        if known is not None:
            version = max(entry.version, known.version + 1)
            entry = Entry(entry.worker, entry.url, entry.standing, entry.added or known.added, version, entry.stamp)
        self._entries[entry.worker] = entry
        return entry

    def accept(self, worker: str, entry: Entry, now: float) -> EntryOutcome:
        """Judge an entry that was read in `worker`'s place, and hold it if it is good."""
        known = self._entries.get(worker)
        if known is not None and entry.order == known.order:
            return EntryOutcome.KNOWN
        verdict = self._judge(worker, entry, known, now)
        if verdict is EntryOutcome.ACCEPTED:
            self._entries[worker] = entry
            if known is not None and known.version == entry.version:
                return EntryOutcome.KNOWN  # only signed again
        return verdict

    def renew(self, now: float) -> None:
        """Sign again what was signed long ago, and forget removals that nothing can undo any more."""
        for entry in self:
            if entry.standing is Standing.REMOVED and now - entry.version / 1e6 > TOMB_S:
                del self._entries[entry.worker]
            elif now - entry.stamp > RENEW_S:
                signed = (entry.worker, entry.url, entry.standing, entry.added, entry.version, int(now))
                self._entries[entry.worker] = Entry(*signed)

    def _judge(self, worker: str, entry: Entry, known: Entry | None, now: float) -> EntryOutcome:
        if entry.worker != worker or self._worker_id(entry.url) != worker:
            return EntryOutcome.MISPLACED
        if known is not None and entry.order < known.order:
            return EntryOutcome.REPLAYED
        if max(entry.version / 1e6, entry.stamp) > now + MAX_AHEAD_S:
            return EntryOutcome.FUTURE
        if entry.stamp < now - MAX_AGE_S:
            return EntryOutcome.STALE
        if known is None and len(self._entries) >= MAX_ENTRIES:
            return EntryOutcome.FULL
        return (
            EntryOutcome.ACCEPTED
            if entry.standing is Standing.REMOVED or self._allowed(entry)
            else EntryOutcome.NOT_ALLOWED
        )

    def _allowed(self, entry: Entry) -> bool:
        try:
            return self._check(entry.url) == entry.url or not entry.added
        except NotAllowedError:
            return not entry.added
