"""The decisions about workers that this router believes: the newest one for each worker. Pure: no I/O, time is an
argument.

What must not be broken: an old entry never replaces a newer one, a removal outlives every copy of the entry that it
removed, and an entry that is missing in Redis means nothing.
"""

from collections.abc import Callable, Iterator
from enum import Enum

from router.dial.allow import NotAllowedError
from router.members.entry import Entry, Standing

DAY_S = 24 * 3600
MAX_AGE_S = 7 * DAY_S
"""An entry that no router has signed for this many seconds is refused: it may be a copy of an entry that was removed
since. If all routers are away for longer, decisions of the admin API are lost."""
RENEW_S = DAY_S / 2
"""Age in seconds at which a router signs its entries again."""
TOMB_S = MAX_AGE_S + DAY_S
"""Seconds that a removal is kept: longer than any copy of the removed entry can be believed."""
MAX_AHEAD_S = 600
"""Seconds by which the routers' clocks may differ. An entry from farther in the future is refused: it could never be
replaced."""
MAX_ENTRIES = 10_000


class EntryOutcome(Enum):
    """The outcome for an entry that was read. Values are metric labels."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    REPLAYED = "replayed"
    """The entry is older than the known one."""
    STALE = "stale"
    """The entry was signed too long ago."""
    FUTURE = "future"
    MISPLACED = "misplaced"
    """The entry's id is not that of its URL, or it lies under another worker's id."""
    NOT_ALLOWED = "not_allowed"
    """This router's allow-list refuses the URL."""
    FULL = "full"


class Book:
    """The valid entries. `check` is the allow-list's; `worker_id` makes an id from a URL."""

    def __init__(self, check: Callable[[str], str], worker_id: Callable[[str], str]) -> None:
        self._check = check
        self._worker_id = worker_id
        self._entries: dict[str, Entry] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def get(self, worker: str) -> Entry | None:
        """The entry of this worker, if there is one."""
        return self._entries.get(worker)

    def decide(self, entry: Entry) -> Entry:
        """Take a decision made here, which comes after every known one. Returns the valid entry."""
        known = self._entries.get(entry.worker)
        if known is not None:
            version = max(entry.version, known.version + 1)
            entry = Entry(entry.worker, entry.url, entry.standing, entry.added or known.added, version, entry.stamp)
        self._entries[entry.worker] = entry
        return entry

    def accept(self, worker: str, entry: Entry, now: float) -> EntryOutcome:
        """Judge an entry that was read under `worker`'s id, and keep it if it is valid."""
        known = self._entries.get(worker)
        if known is not None and entry.order == known.order:
            return EntryOutcome.KNOWN
        verdict = self._judge(worker, entry, known, now)
        if verdict is EntryOutcome.ACCEPTED:
            self._entries[worker] = entry
            if known is not None and known.version == entry.version:
                return EntryOutcome.KNOWN  # the same decision, signed again
        return verdict

    def renew(self, now: float) -> None:
        """Sign again the entries that were signed long ago, and forget removals that no copy can undo any more."""
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
