"""The measurement's own arithmetic, and that it runs."""

import random
from pathlib import Path

import pytest

from loadtests.bench_keys import KEYS, KNOWN, OFFERS, kept, measure, welch


def test_welch() -> None:
    rng = random.Random(1)
    one = [rng.gauss(100, 10) for _ in range(5000)]
    assert abs(welch(one, [rng.gauss(100, 10) for _ in range(5000)])) < 4
    assert welch(one, [rng.gauss(98, 10) for _ in range(5000)]) > 4.5
    assert welch([1, 2, 3], [1, 2, 3]) == pytest.approx(0)


def test_the_slowest_are_left_out() -> None:
    assert kept([5, 1, 100, 2, 3, 4, 6, 7, 8, 9]) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_classes_are_what_they_say() -> None:
    rng = random.Random(1)
    keys = [f"wr-{number:043}" for number in range(2 * KEYS)]
    known = {b"Bearer " + key.encode() for key in keys[:KEYS]}
    for name, offer in OFFERS.items():
        for _ in range(50):
            header = offer.header(keys, rng)
            assert len(header) == 7 + len(keys[0])
            assert (header in known) is name.startswith(KNOWN)


def test_it_runs(tmp_path: Path) -> None:
    assert len(measure(tmp_path / "keys", 20, random.Random(1)).rows) == len(OFFERS)
