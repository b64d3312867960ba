"""`python -m loadtests.bench_keys`: does the time of a key's look-up tell anything about the key?

Classes of offered keys are timed in random order in one run: wrong ones by what they have in common with a known one,
known ones by where they stand in the file. Each is compared with its like by Welch's t-test on the times below the
90th percentile (as dudect does; interruptions are noise). Beyond 4.5 either way, and beyond what the same class shows
against itself, a difference would be one. That known keys differ from wrong ones tells nothing: the answer does, too.
"""

import argparse
import gc
import math
import random
import statistics
import tempfile
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from loadtests.cost.report import machine
from loadtests.endurance.report import Table, Ticks, number
from router.clients import Clients
from router.clients.key_hash import key_digest, new_key, new_salt

KEYS = 200
KEPT = 0.9
WRONG, KNOWN = "wrong, nothing in common", "known"


class Offer(NamedTuple):
    """Keys of one class: drawn from `these`, and one character of them replaced."""

    these: slice
    """Of the known keys and, behind them, as many that nobody knows."""
    place: int = 5
    known: bool = False
    """True: the character is replaced by itself."""

    def header(self, keys: list[str], rng: random.Random) -> bytes:
        """One drawn at random."""
        key = rng.choice(keys[self.these])
        place = self.place % len(key)
        return b"Bearer " + (key[:place] + (key[place] if self.known else "~") + key[place + 1 :]).encode()


_OURS, _OTHERS = slice(0, KEYS), slice(KEYS, 2 * KEYS)
OFFERS = {
    WRONG: Offer(_OTHERS),
    "the same again (the noise)": Offer(_OTHERS),
    "wrong in the first character": Offer(_OURS, 0),
    "wrong in the middle": Offer(_OURS, 23),
    "wrong in the last character": Offer(_OURS, -1),
    KNOWN: Offer(_OURS, known=True),
    "known, the same again (the noise)": Offer(_OURS, known=True),
    "known, first half of the file": Offer(slice(0, KEYS // 2), known=True),
    "known, second half of the file": Offer(slice(KEYS // 2, KEYS), known=True),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """About half a minute."""
    parser = argparse.ArgumentParser("python -m loadtests.bench_keys", description="Timing of key look-ups.")
    parser.add_argument("--samples", type=int, default=60_000, help="look-ups of each class")
    options = parser.parse_args(arguments)
    print(f"Machine: {machine()}.\n", flush=True)
    before = Ticks.now()
    with tempfile.TemporaryDirectory() as folder:
        print(measure(Path(folder) / "clients.toml", options.samples, random.Random(1)).markdown())
    print(f"\n{Ticks.now().since(before)}.", flush=True)


def measure(path: Path, samples: int, rng: random.Random) -> Table:
    """Time all classes, and say how they differ from the wrong or the known ones."""
    keys = [new_key() for _ in range(2 * KEYS)]
    clients = Clients([], write(path, keys[:KEYS]), time.monotonic)
    times = {name: kept(found) for name, found in timed(clients, keys, samples, rng).items()}
    rows = []
    for name, these in times.items():
        base = times[KNOWN if name.startswith(KNOWN) else WRONG]
        apart = statistics.fmean(these) - statistics.fmean(base)
        told = ("-", "-") if these is base else (f"{apart:+.2f} ns", f"{welch(these, base):+.1f}")
        rows.append((name, number(statistics.median(these), "ns"), number(statistics.fmean(these), "ns", 1), *told))
    title = f"{samples:,} look-ups of each class, mixed, among {KEYS} keys"
    return Table(title, ("offered key", "median", "mean", "difference", "Welch's t"), rows)


def timed(clients: Clients, keys: list[str], samples: int, rng: random.Random) -> dict[str, list[int]]:
    """Nanoseconds of each look-up. All headers are made beforehand, and the loop does the same for each."""
    asked: list[tuple[str, bytes]] = []
    for _ in range(samples):
        for name in rng.sample(list(OFFERS), len(OFFERS)):
            asked.append((name, OFFERS[name].header(keys, rng)))
    took = array("q", bytes(8 * len(asked)))
    clock, find = time.perf_counter_ns, clients.find
    gc.disable()
    for number_, (_, header) in enumerate(asked):
        began = clock()
        find(header)
        took[number_] = clock() - began
    gc.enable()
    times: dict[str, list[int]] = {name: [] for name in OFFERS}
    for (name, _), ns in zip(asked, took, strict=True):
        times[name].append(ns)
    return times


def kept(times: list[int]) -> list[int]:
    """Without the slowest."""
    return sorted(times)[: int(len(times) * KEPT)]


def welch(one: Sequence[float], two: Sequence[float]) -> float:
    """The t statistic of two samples of unequal variance."""
    spread = statistics.variance(one) / len(one) + statistics.variance(two) / len(two)
    return (statistics.fmean(one) - statistics.fmean(two)) / math.sqrt(spread) if spread else 0.0


def write(path: Path, keys: list[str]) -> Path:
    """A keys file for them."""
    salt = new_salt()
    hashes = (key_digest(bytes.fromhex(salt), key.encode()).hex() for key in keys)
    tables = (f'[[key]]\nlabel = "c{place}"\nhash = "{digest}"\n' for place, digest in enumerate(hashes))
    path.write_text(f'salt = "{salt}"\n' + "".join(tables))
    return path


if __name__ == "__main__":
    main()
