"""The trace file of the setting `trace_file`: each process of several has its own."""

from pathlib import Path

from router.build.basics import Basics
from router.fleet.workers import Fleet
from router.processes.process_config import ProcessConfig
from router.trace_file.lines import TracedWorker
from router.trace_file.writer import TraceFile


def make_trace_file(basics: Basics, fleet: Fleet, config: ProcessConfig | None) -> TraceFile:
    """Hashes under a key from the setting `index_secret`, so that the files of routers that share it belong together;
    without one, no file has anything in common with the files of another start."""
    path = basics.settings.trace_file
    if path and config is not None:
        own = Path(path)
        path = str(own.with_name(f"{own.stem}.{config.number}{own.suffix}"))

    def workers() -> list[TracedWorker]:
        return [
            TracedWorker(worker.pool.capacity_tokens, worker.prefill_rate) for worker in list(fleet.workers.values())
        ]  # called in a thread

    return TraceFile(path, basics.secret, workers)
