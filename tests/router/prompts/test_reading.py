"""What is long is done in the reading thread, and a crowd is refused before anything is decoded."""

import threading

import pytest

from router.prompts.encoding import EncodePool
from router.prompts.reading import Reading
from tokenizer_cache.bodies.density import MAX_FIELDS
from tokenizer_cache.prompt import BadRequest


class Edit:
    """Notes in which thread it was done."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def __call__(self, body: bytes) -> bytes:
        self.threads.append(threading.current_thread().name.partition("_")[0])
        return body + b" "


def fields(count: int, padding: int) -> bytes:
    names = b",".join(b'"k%d":0' % number for number in range(count))
    return b'{"model":"m","p":"%b",%b}' % (b",x" * (padding // 2), names)


async def test_many_fields_are_refused_and_a_comma_is_no_field() -> None:
    edit = Edit()
    async with EncodePool(1) as pool:
        reading = Reading(None, pool)  # type: ignore[arg-type]
        with pytest.raises(BadRequest, match="Too many values"):
            await reading.decode(fields(100_000, 0), edit)
        assert not edit.threads
        for body in (fields(10, 0), fields(MAX_FIELDS - 10, 200_000)):
            assert await reading.decode(body, edit) == body + b" "
    assert edit.threads == ["MainThread", "read"]
