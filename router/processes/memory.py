"""What processes of one supervisor share in memory: the conversations that each has encoded."""

import logging
import os
import tempfile
from pathlib import Path

from router.processes.place import Place
from tokenizer_cache.journal import Journal

log = logging.getLogger("warmroute")

IN_MEMORY = Path("/dev/shm")
"""Where Linux keeps files in memory alone: what is shared here must not be written to a disk."""


def private_folder() -> Path:
    """A new folder that only this user can open, in memory where the system has such a place."""
    usable = IN_MEMORY.is_dir() and os.access(IN_MEMORY, os.W_OK | os.X_OK)
    return Path(tempfile.mkdtemp(prefix="warmroute-", dir=IN_MEMORY if usable else None))


def journal_of(place: Place | None) -> Journal | None:
    """What sibling processes tell each other of conversations. None for a single process, where its folder is not in
    memory, and where there is no memory left for it."""
    if place is None or place.count == 1 or IN_MEMORY not in place.folder.parents:
        return None
    try:
        return Journal(place.folder, place.number, place.count)
    except OSError as error:
        log.warning("each process encodes for itself, there is no shared memory: %s", error)
        return None
