"""All bodies together hold no more than they may, and give back what they took, once."""

from typing import Any

import pytest

from router.wire.body import BodyBudget, ClientGoneError, read_body
from router.wire.errors import ApiError

CHUNKS = [b"ab", b"", b"cde"]


def receive(chunks: list[bytes], last: str = "http.request") -> Any:
    """A channel that gives these, then an end."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": last, "body": b"", "more_body": False})

    async def next_one() -> dict[str, Any]:
        return messages.pop(0)

    return next_one


def test_what_one_body_cannot_hold_is_given_up_whole() -> None:
    budget = BodyBudget(100)
    one, other = budget.hold(), budget.hold()
    assert one.take(60) and other.take(40)
    assert not other.take(1)
    assert budget.used_bytes == 60
    with pytest.raises(ApiError) as refused:
        other.check()
    assert refused.value.status == 503
    one.check()


def test_a_closed_body_takes_nothing_and_gives_back_once() -> None:
    budget = BodyBudget(100)
    body = budget.hold()
    assert body.take(60)
    body.close()
    body.close()
    assert not body.take(1)
    assert budget.used_bytes == 0


@pytest.mark.parametrize("length", [None, 5])
async def test_a_body_is_whole(length: int | None) -> None:
    waits: list[None] = []
    held = BodyBudget(100).hold()
    assert await read_body(receive(CHUNKS), length, 5, held, lambda: waits.append(None)) == b"abcde"
    assert len(waits) == len(CHUNKS) + 1


@pytest.mark.parametrize(("length", "most"), [(None, 4), (5, 4), (6, 5)])
async def test_a_longer_one_is_refused_with_413(length: int | None, most: int) -> None:
    with pytest.raises(ApiError) as refused:
        await read_body(receive(CHUNKS), length, most, BodyBudget(100).hold(), lambda: None)
    assert refused.value.status == 413


@pytest.mark.parametrize(("length", "last"), [(4, "http.request"), (6, "http.request"), (None, "http.disconnect")])
async def test_a_cut_one_is_never_taken_for_a_whole_one(length: int | None, last: str) -> None:
    with pytest.raises(ClientGoneError):
        await read_body(receive(CHUNKS, last), length, 100, BodyBudget(100).hold(), lambda: None)
