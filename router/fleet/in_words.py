"""What the log says of a worker, in one line.

All of it comes from the worker, so it is cut short, and nothing in it breaks the line.
"""

from router.dial.quoting import one_line
from router.fleet.worker import Worker

MAX_MODELS = 4
"""Models that are named. Of the others the log says how many there are."""


def in_words(worker: Worker) -> str:
    """What the worker said of itself."""
    facts = worker.facts
    if facts is None:
        return "it has not said what it serves"
    names = [card.id for card in worker.models]
    more = f" and {len(names) - MAX_MODELS} more" if len(names) > MAX_MODELS else ""
    models = ", ".join(names[:MAX_MODELS]) + more or "none"
    memory = f"{facts.kv_capacity_tokens:,} KV tokens" if facts.kv_capacity_tokens else "KV memory unknown"
    if len(worker.ranks) > 1:
        memory = f"{len(worker.ranks)} ranks of {memory}"
    said = f"{facts.engine} {facts.version}; models: {models}; blocks of {facts.block_tokens} tokens; {memory}"
    return one_line(said if facts.prefix_caching else f"{said}; WITHOUT prefix caching")
