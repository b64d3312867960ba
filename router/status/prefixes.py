"""The tree of prefixes used last, in tokens, by worker. It is what this router has in memory."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from router.fleet.worker import Worker
from router.prefix.outline import Run, outline
from router.prefix.residency import Residency

MOST_HOLDERS = 16
"""Workers whose prefixes are told."""


def prefixes(residency: Residency, workers: Iterable[Worker]) -> list[dict[str, Any]]:
    """The runs used last by the first 16 of `workers`."""
    shown = list(islice(workers, MOST_HOLDERS))
    by_holder = {worker.holder: worker for worker in shown}
    found = [holder for name in by_holder if (holder := residency.holder(name)) is not None]
    return [_described(run, by_holder) for run in outline(found, residency.tree.root)]


def indexed_tokens(residency: Residency, worker: Worker) -> int:
    """Tokens of all prefixes that this worker is believed to hold."""
    holder = residency.holder(worker.holder)
    return holder.resident_blocks * worker.chain_block_tokens if holder is not None else 0


def _described(run: Run, workers: Mapping[str, Worker]) -> dict[str, Any]:
    shares = [(workers[share.holder], share) for share in run.shares]
    block = shares[0][0].chain_block_tokens if shares else 1
    return {
        "start_tokens": run.start * block,
        "tokens": run.blocks * block,
        "holders": {
            worker.id: {
                "tokens": share.blocks * block,
                "coming_tokens": max(0, share.pending_blocks - share.blocks) * block,
            }
            for worker, share in shares
        },
        "below": [_described(each, workers) for each in run.below],
        "more": run.more,
    }
