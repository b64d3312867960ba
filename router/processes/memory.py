"""The memory that processes of one supervisor share: the conversations that each has encoded."""

import logging
import os
import tempfile
from pathlib import Path

from router.processes.process_config import ProcessConfig
from tokenizer_cache.conversations.journal import Journal

log = logging.getLogger("warmroute")

IN_MEMORY = Path("/dev/shm")
"""Linux keeps files here in memory only: the shared data must not be written to a disk."""


def private_folder() -> Path:
    """A new folder that only this user can open; in memory, where the system can do that."""
    usable = IN_MEMORY.is_dir() and os.access(IN_MEMORY, os.W_OK | os.X_OK)
    return Path(tempfile.mkdtemp(prefix="warmroute-", dir=IN_MEMORY if usable else None))


def journal_of(config: ProcessConfig | None) -> Journal | None:
    """The journal in which sibling processes share conversations. None for a single process, where the folder is not in
    memory, and where no memory is left for it."""
    if config is None or config.count == 1 or IN_MEMORY not in config.folder.parents:
        return None
    try:
        return Journal(config.folder, config.number, config.count)
    except OSError as error:
        log.warning("no shared memory, so each process encodes every conversation itself: %s", error)
        return None
