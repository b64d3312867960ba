"""What routers tell each other: as it was written, and nothing that is out of bounds."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.sessions.shared.batch import (
    MAX_ANCHORS,
    MAX_BATCH_BYTES,
    MAX_CLAIMS,
    MAX_STATES,
    OUTSIDE,
    VERSION,
    BadBatchError,
    Batch,
    Claim,
    NameNumbers,
    SessionState,
    Waits,
    pack,
    unpack,
)

STATE = SessionState(
    b"i" * 8, 0, 1, 1, 1, 3, 900, 1000, 1024, 2, b"a" * 16, 5, 6, 7, b"l" * 8, b"o" * 16, b"f" * 16, b"s" * 8
)
BATCH = Batch(VERSION, True, ["m", "w-1"], [Waits(0, 2, 300)], [Claim(1, 400)], [STATE])


def changed(**fields: Any) -> list[Any]:
    """A batch as it lies on the wire, with one state that differs."""
    state = [fields.get(name, getattr(STATE, name)) for name in STATE.__struct_fields__]
    return [VERSION, True, ["m", "w-1"], [[0, 2, 300]], [[1, 400]], [state]]


def test_it_is_read_as_it_was_written() -> None:
    assert unpack(pack(BATCH)) == BATCH
    outside = msgspec.structs.replace(STATE, worker=OUTSIDE, leaf=b"", anchors=b"")
    assert unpack(pack(msgspec.structs.replace(BATCH, states=[outside]))).states == [outside]


@pytest.mark.parametrize(
    "fields",
    [
        {"id": b"short"},
        {"id": "i" * 8},
        {"model": 2},
        {"model": -1},
        {"worker": 2},
        {"running": -1},
        {"running": 1 << 40},
        {"flags": 48},
        {"own_id": b"o" * 17},
        {"own_id": "o" * 16},
        {"family_id": b"f" * 17},
        {"start": b"s" * 9},
        {"turns": True},
        {"held_tokens": 1 << 63},
        {"anchors": b"a" * 15},
        {"anchors": b"a" * (8 * MAX_ANCHORS + 8)},
        {"known_anchors": MAX_ANCHORS + 1},
        {"since_ms": -5},
        {"since_ms": 1.5},
        {"leaf": b"l" * 7},
        {"leaf": None},
    ],
)
def test_what_is_out_of_bounds_is_no_batch(fields: dict[str, Any]) -> None:
    assert unpack(msgspec.msgpack.encode(changed())).states == [STATE]
    with pytest.raises(BadBatchError):
        unpack(msgspec.msgpack.encode(changed(**fields)))


@pytest.mark.parametrize(
    "batch",
    [
        msgspec.structs.replace(BATCH, version=VERSION + 1),
        msgspec.structs.replace(BATCH, names=["m"]),
        msgspec.structs.replace(BATCH, names=["m" * 600, "w"]),
        msgspec.structs.replace(BATCH, waits=[Waits(2, 1, 1)]),
        msgspec.structs.replace(BATCH, claims=[Claim(2, 1)]),
        msgspec.structs.replace(BATCH, claims=[Claim(1, 1)] * (MAX_CLAIMS + 1)),
        msgspec.structs.replace(BATCH, states=[STATE] * (MAX_STATES + 1)),
    ],
)
def test_neither_is_one_of_another_version_or_with_too_much(batch: Batch) -> None:
    with pytest.raises(BadBatchError):
        unpack(pack(batch))


@given(st.binary(max_size=200))
def test_bytes_are_a_batch_or_refused(raw: bytes) -> None:
    with suppress(BadBatchError):
        unpack(raw)


def test_deep_lists_are_refused() -> None:
    with pytest.raises(BadBatchError):
        unpack(b"\x91" * MAX_BATCH_BYTES)


def test_a_name_has_one_number() -> None:
    names = NameNumbers()
    assert [names.number(name) for name in ("a", "b", "a")] == [0, 1, 0]
    assert names.all() == ["a", "b"]
