"""The ledger against a model that keeps sets: chains of engine blocks, stored and removed at random, in copies."""

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from router.kv_events import ledger as module
from router.kv_events.batches import Cleared, Removed, Stored
from router.kv_events.ledger import Cell, FullLedgerError, Ledger
from tokenizer_cache.conversations.chain import ID_BYTES, Chain, pack

CELL = 64
CHAIN = Chain(CELL * ID_BYTES, b"secret")
ROOT = CHAIN.root(b"scope")


def chain_of(ids: list[int]) -> bytes:
    return CHAIN.extend(ROOT, b"", pack(ids))[0]


def ledger_of(max_blocks: int = 10_000) -> tuple[Ledger, Counter[str]]:
    counts: Counter[str] = Counter()
    return Ledger(CHAIN, ROOT, counts, max_blocks), counts


class Engine:
    """Names blocks as an engine does, by all ids up to their end."""

    def __init__(self, size: int) -> None:
        self.size = size

    def name(self, ids: list[int], blocks: int) -> int:
        return hash(tuple(ids[: blocks * self.size])) & (2**64 - 1)

    def stored(self, ids: list[int], first: int, last: int) -> Stored:
        names = [self.name(ids, number + 1) for number in range(first, last)]
        part = ids[first * self.size : last * self.size]
        return Stored(names, self.name(ids, first) if first else None, pack(part), self.size)


def held(ledger: Ledger) -> set[bytes]:
    """All chains that count, and their beginnings."""
    return {chain[:end] for chain in ledger.chains() for end in range(8, len(chain) + 1, 8)}


@pytest.mark.parametrize("size", [1, 16, 32, 64])
def test_a_cell_is_held_when_all_its_blocks_are(size: int) -> None:
    ledger, _ = ledger_of()
    engine, ids = Engine(size), list(range(200))
    whole = CELL // size
    ledger.apply(engine.stored(ids, 0, whole - 1)) if whole > 1 else None
    assert ledger.changes().held == []
    ledger.apply(engine.stored(ids, whole - 1, 2 * whole))
    assert ledger.changes() == ([], [chain_of(ids[:128])])
    ledger.apply(Removed([engine.name(ids, 2 * whole)]))
    assert ledger.changes() == ([chain_of(ids[:128])], [])
    assert held(ledger) == {chain_of(ids[:64])}
    ledger.apply(engine.stored(ids, 2 * whole - 1, 2 * whole))
    assert ledger.changes() == ([], [chain_of(ids[:128])])


def test_conversations_that_part_inside_a_cell() -> None:
    ledger, _ = ledger_of()
    engine, ids = Engine(16), list(range(128))
    other = ids[:32] + list(range(1000, 1096))
    ledger.apply(engine.stored(ids, 0, 8))
    ledger.apply(engine.stored(other, 2, 8))
    assert set(ledger.changes().held) == {chain_of(ids), chain_of(other)}
    ledger.apply(Removed([engine.name(ids, 3)]))
    assert ledger.changes().lost == [chain_of(ids[:64])]
    assert held(ledger) == {chain_of(other[:64]), chain_of(other)}
    ledger.apply(Removed([engine.name(ids, 1)]))
    assert ledger.changes().lost == [chain_of(ids[:64]), chain_of(other[:64])]
    assert not held(ledger)


def test_a_copy_that_goes_takes_nothing_away() -> None:
    ledger, _ = ledger_of()
    engine, ids = Engine(16), list(range(64))
    ledger.apply(engine.stored(ids, 0, 4))
    ledger.apply(engine.stored(ids, 0, 4))
    ledger.changes()
    ledger.apply(Removed([engine.name(ids, 4)]))
    assert ledger.changes() == ([], [])
    ledger.apply(Removed([engine.name(ids, 4)]))
    assert ledger.changes().lost == [chain_of(ids)]


def test_a_hole_that_is_filled_brings_back_what_is_behind_it() -> None:
    ledger, _ = ledger_of()
    engine, ids = Engine(64), list(range(256))
    ledger.apply(engine.stored(ids, 0, 4))
    ledger.apply(Removed([engine.name(ids, 2)]))
    assert ledger.changes() == ([chain_of(ids[:128])], [chain_of(ids[:64])])
    ledger.apply(engine.stored(ids, 1, 2))
    assert ledger.changes() == ([], [chain_of(ids)])


def test_what_is_not_known_is_counted_and_left_out() -> None:
    ledger, counts = ledger_of()
    engine, ids = Engine(16), list(range(128))
    ledger.apply(engine.stored(ids, 4, 8))
    ledger.apply(Removed([1, 2]))
    ledger.apply(Engine(48).stored(ids, 0, 2))
    assert counts == {"unknown_parent": 1, "unknown_block": 2, "block_size": 1}
    assert ledger.changes() == ([], [])
    assert len(ledger) == 0


def test_it_is_bounded_and_cleared() -> None:
    ledger, _ = ledger_of(max_blocks=8)
    engine, ids = Engine(16), list(range(256))
    ledger.apply(engine.stored(ids, 0, 8))
    with pytest.raises(FullLedgerError):
        ledger.apply(engine.stored(ids, 8, 9))
    ledger.apply(Cleared())
    assert (len(ledger), ledger.changes(), ledger.chains()) == (0, ([], []), [])


def test_a_prompt_that_nobody_sends_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CHAIN_BLOCKS", 4)
    engine, (ledger, _) = Engine(16), ledger_of()
    ledger.apply(engine.stored(list(range(4 * CELL)), 0, 4 * CELL // 16))
    assert len(ledger.changes().held) == 1
    ledger.apply(engine.stored(list(range(1000, 1000 + 5 * CELL)), 0, 5 * CELL // 16))
    with pytest.raises(FullLedgerError):
        ledger.changes()


@pytest.mark.timeout(60)
def test_branches_of_branches_of_a_large_cell_are_bounded() -> None:
    """An engine says how large a cell is. Branches of branches are gone through by recursion, which Python ends."""
    tokens = 4096
    large = Chain(tokens * ID_BYTES, b"secret")
    ledger = Ledger(large, large.root(b"scope"), Counter())
    ledger.apply(Stored([1, 2], None, pack([1, 1]), 1))

    def branch_on() -> None:
        parent = 1
        for name in range(10, 10 + 2 * tokens, 2):
            ledger.apply(Stored([name, name + 1], parent, pack([1, 1]), 1))
            parent = name

    with pytest.raises(FullLedgerError):
        branch_on()
    ledger.apply(Removed([1]))
    assert ledger.changes() == ([], [])


def test_the_ids_of_all_branches_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each branch repeats the head of its cell."""
    monkeypatch.setattr(module, "MAX_ID_BYTES", 40 * CELL * ID_BYTES)
    engine, (ledger, _) = Engine(1), ledger_of()
    head = list(range(CELL - 2))

    def branch(number: int) -> list[int]:
        ids = [*head, number, number]
        ledger.apply(engine.stored(ids, 0, CELL))
        return ids

    for number in range(1000, 1100):
        ids = branch(number)
        ledger.changes()
        ledger.apply(Removed([engine.name(ids, CELL - 1), engine.name(ids, CELL)]))
        ledger.changes()  # what is gone counts no more
    with pytest.raises(FullLedgerError):
        for number in range(2000, 2100):
            branch(number)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("size", [1, 16, 64])
def test_against_a_model(seed: int, size: int) -> None:
    rng, engine = random.Random(seed), Engine(size)
    ledger, counts = ledger_of()
    copies: Counter[int] = Counter()
    prompts: list[list[int]] = [[]]
    believed: set[bytes] = set()
    for _ in range(60):
        if rng.random() < 0.6:
            base = rng.choice(prompts)
            cut = rng.choice((len(base), rng.randint(0, len(base)))) // size * size
            ids = base[:cut] + [rng.randrange(3) for _ in range(rng.randint(1, 150))]
            prompts.append(ids)
            names = [engine.name(ids, number + 1) for number in range(len(ids) // size)]
            first = next((number for number, name in enumerate(names) if not copies[name]), len(names))
            first = rng.choice((first, 0))
            if first < len(names):
                ledger.apply(engine.stored(ids, first, len(names)))
                copies.update(names[first:])
        elif +copies:
            gone = rng.sample(sorted(+copies), min(len(+copies), rng.randint(1, 12)))
            ledger.apply(Removed(gone))
            copies.subtract(gone)
        changes = ledger.changes()
        for lost in changes.lost:
            believed = {chain for chain in believed if not chain.startswith(lost)}
        for found in changes.held:
            believed.update(found[:end] for end in range(8, len(found) + 1, 8))
        expected = _expected(engine, prompts, copies)
        assert held(ledger) == expected
        assert believed == expected
    assert not counts
    ledger.apply(Removed(list((+copies).elements())))
    ledger.changes()
    assert len(ledger) == 0, "nothing is left of what is gone"


def test_a_long_prompt_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, _ = ledger_of(100_000)
    ids, cells, looks = list(range(CELL)) * 500, 500, Counter[int]()
    whole = Cell.has
    monkeypatch.setattr(Cell, "has", lambda cell, blocks: looks.update((id(cell),)) or whole(cell, blocks))
    ledger.apply(Stored(list(range(cells)), None, pack(ids), CELL))
    assert ledger.changes().held == [chain_of(ids)]
    assert looks.total() <= 4 * cells


def test_however_often_a_cell_is_touched_its_branches_are_looked_at_once() -> None:
    class Counted(dict[Cell, None]):
        looks = 0

        def __iter__(self) -> Iterator[Cell]:
            self.looks += 1
            return super().__iter__()

    ledger, _ = ledger_of()
    ledger.apply(Stored(list(range(1, 51)), None, pack(list(range(50))), 1))
    for number in range(50):
        ledger.apply(Stored([100 + number], 50, pack([100 + number]), 1))
    ledger.changes()
    stem, _ = ledger._cells[1]
    assert len(stem.branches) == 49, "the first one fills the cell itself"
    stem.branches = Counted(stem.branches)
    ledger.apply(Removed(list(range(50, 0, -1))))
    ledger.apply(Stored([1] * 50, None, pack([1] * 50), 1))
    ledger.changes()
    assert stem.branches.looks == 1


def _expected(engine: Engine, prompts: list[list[int]], copies: Counter[int]) -> set[bytes]:
    found: set[bytes] = set()
    for ids in prompts:
        names = [engine.name(ids, number + 1) for number in range(len(ids) // engine.size)]
        first = next((number for number, name in enumerate(names) if not copies[name]), len(names))
        chain = chain_of(ids[: first * engine.size // CELL * CELL])
        found.update(chain[:end] for end in range(8, len(chain) + 1, 8))
    return found
