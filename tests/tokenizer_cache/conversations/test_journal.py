"""Rings between processes, and conversations that hop between their encoders."""

import random
import uuid
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tokenizer_cache.random_chats import body_of
from tests.tokenizer_cache.small import small
from tests.tokenizer_cache.test_encoder_exact import SECRET, Uncached, check
from tokenizer_cache.conversations.conversation import Boundary, Conversations, Room
from tokenizer_cache.conversations.journal import Journal, JournalEntry, Ring
from tokenizer_cache.encoder import PromptEncoder


def entry(number: int, tag: bytes = b"tag") -> JournalEntry:
    return JournalEntry(tag, bytes([number]), b"", b"", b"", b"", number, 0, b"", "", None, None)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.one_of(st.integers(0, 300), st.none()), max_size=60))
def test_a_reader_gets_records_in_order_whole_and_at_most_once(tmp_path: Path, steps: list[int | None]) -> None:
    path = tmp_path / str(uuid.uuid4())
    writer = Ring(path, create=True, size=4096)
    reader = Ring(path, create=False)
    written: list[bytes] = []
    seen: list[bytes] = []
    for step in steps:
        if step is None:
            seen += reader.records()
        else:
            written.append(len(written).to_bytes(4, "big") + bytes(step))
            writer.append(written[-1])
    seen += reader.records()
    places = [written.index(record) for record in seen]
    assert places == sorted(set(places))
    assert not reader.has_news()


def test_nothing_is_lost_on_who_keeps_up(tmp_path: Path) -> None:
    writer, reader = Ring(tmp_path / "r", create=True, size=4096), Ring(tmp_path / "r", create=False)
    for number in range(500):
        record = bytes([number % 256]) * (number % 200)
        writer.append(record)
        assert list(reader.records()) == [record]


def test_a_torn_record_and_one_that_was_overtaken_are_not_read(tmp_path: Path) -> None:
    writer, reader = Ring(tmp_path / "r", create=True, size=4096), Ring(tmp_path / "r", create=False)
    writer.append(b"x" * 100)
    with (tmp_path / "r").open("r+b") as file:
        file.seek(64 + 8 + 50)
        file.write(b"y")
    assert list(reader.records()) == []
    for _ in range(200):
        writer.append(b"z" * 100)
    assert list(reader.records()) == [], "more than a ring's worth"
    writer.append(b"new")
    assert list(reader.records()) == [b"new"]


def test_a_process_that_comes_back_goes_on_with_its_ring(tmp_path: Path) -> None:
    first = Ring(tmp_path / "r", create=True, size=4096)
    first.append(b"one")
    reader = Ring(tmp_path / "r", create=False)
    first.close()
    again = Ring(tmp_path / "r", create=True, size=4096)
    again.append(b"two")
    assert list(reader.records()) == [b"one", b"two"], "a reader that comes late gets what is there"


def test_a_record_larger_than_a_quarter_of_the_ring_is_left_out(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "r", create=True, size=4096)
    ring.append(b"x" * 2000)
    assert not Ring(tmp_path / "r", create=False).has_news()


def test_entries_reach_the_siblings_that_know_their_tag(tmp_path: Path) -> None:
    journals = [Journal(tmp_path, number, 3) for number in range(3)]
    got: list[tuple[int, int]] = []
    for number, journal in enumerate(journals):
        journal.join(b"tag", lambda taken, number=number: got.append((number, taken.tokens)))  # type: ignore[misc]
        journal.poll()
    journals[0].append(entry(7))
    journals[0].append(entry(8, b"other"))
    journals[2].append(entry(9))
    for journal in journals:
        journal.poll()
        journal.poll()
    assert sorted(got) == [(0, 9), (1, 7), (1, 9), (2, 7)]
    assert [journal.taken for journal in journals] == [1, 2, 1]


def test_a_file_that_is_no_ring_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "1.ring").write_bytes(b"x" * 100)
    Journal(tmp_path, 0, 2).poll()
    with pytest.raises(OSError, match="no ring"):
        Ring(tmp_path / "1.ring", create=False)


@pytest.mark.parametrize("family", ["chatml", "llama", "forgetful"])
def test_a_conversation_that_hops_between_processes_is_encoded_once_and_stays_exact(
    family: str, tmp_path: Path
) -> None:
    rng = random.Random(5)
    uncached = Uncached(family)
    encoders = [PromptEncoder("test", small(family), 4, SECRET, room=Room(1 << 20)) for _ in range(3)]
    journals = [Journal(tmp_path, number, 3) for number in range(3)]
    for encoder, journal in zip(encoders, journals, strict=True):
        encoder.conversations.share(journal, b"same")
        encoder.conversations.keep_ids = True
    conversation = [{"role": "user", "content": "read the file " * 40}]
    for turn in range(24):
        check(rng.choice(encoders), uncached, body_of(conversation))
        conversation.append({"role": "assistant", "content": f"turn {turn}"})
        conversation.append({"role": "user", "content": f"line {turn}"})
    hits = sum((encoder.counters.hits for encoder in encoders), Counter[str]())
    assert hits["cold"] == 1
    assert sum(encoder.counters.encoded_bytes for encoder in encoders) < 4 * len(body_of(conversation))


def test_taken_boundaries_share_their_parents_blocks_and_keep_to_the_room(tmp_path: Path) -> None:
    one, other = Conversations(Room(1 << 20)), Conversations(Room(20_000))
    journals = [Journal(tmp_path, number, 2) for number in range(2)]
    for cache, journal in zip((one, other), journals, strict=True):
        cache.share(journal, b"t")
    for conversation in range(40):
        base: Boundary | None = None
        for turn in range(3):
            spine, blocks = one.grow(base, bytes([conversation, turn]) * 40)
            before, base = base, Boundary(spine, blocks, b"", blocks)
            one.add(bytes([conversation, turn]), base, before)
    _, found = other.find([bytes([39, 0]), bytes([39, 1]), bytes([39, 2])])
    assert found is not None
    assert found.chain() == b"".join(bytes([39, turn]) * 40 for turn in range(3))
    assert other.find([bytes([39, 0])])[1].spine is found.spine  # type: ignore[union-attr]
    assert other.room.size_bytes <= other.room.max_bytes
