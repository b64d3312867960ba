"""Forms are read in steps, wherever their boundaries fall. What is read of them is tested with clients' rights."""

import asyncio

import pytest

from router.wire.forms import STEP_BYTES, form_fields

FORM = b"multipart/form-data; boundary=b"


def form(file: bytes) -> bytes:
    head = b'--b\r\ncontent-disposition: form-data; name="file"\r\n\r\n'
    return head + file + b'\r\n--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n'


async def test_a_large_file_holds_nobody_up() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(count())
    fields = await form_fields(FORM, form(b"\r\n" * (5 * STEP_BYTES)))
    others.cancel()
    assert fields == [("file", ""), ("model", "m")]
    assert turns >= 9


@pytest.mark.parametrize("shift", range(-12, 4))
async def test_a_boundary_between_two_steps_is_found(shift: int) -> None:
    assert await form_fields(FORM, form(b"x" * (STEP_BYTES + shift - 50))) == [("file", ""), ("model", "m")]


async def test_no_form() -> None:
    assert await form_fields(FORM, b"") is None
    assert await form_fields(b"", form(b"x")) is None
    assert await form_fields(FORM, b"--b--") == []
