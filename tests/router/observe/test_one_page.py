"""One page at a time, for however many ask, and time for others between two."""

import asyncio

import pytest

from router.observe.one_page import REST, OnePage


class Kitchen:
    """Makes pages of two seconds each, by a clock made by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.began: list[float] = []
        self.at_once = 0
        self.fails = False
        self.pages = OnePage(self.make, lambda: self.now, self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    async def make(self) -> bytes:
        self.at_once += 1
        assert self.at_once == 1
        self.began.append(self.now)
        await self.sleep(2.0)
        self.at_once -= 1
        if self.fails:
            raise OSError("no files")
        return b"%d" % len(self.began)


async def test_however_many_ask_one_page_is_made_at_a_time() -> None:
    kitchen = Kitchen()
    assert await asyncio.gather(*(kitchen.pages.page() for _ in range(100))) == [b"1"] * 100
    assert await kitchen.pages.page() == b"2"
    assert kitchen.began == [0.0, 2.0 + REST * 2.0]


async def test_who_hangs_up_takes_the_page_from_nobody_else() -> None:
    kitchen = Kitchen()
    first, second = (asyncio.create_task(kitchen.pages.page()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == b"1"


async def test_a_page_that_cannot_be_made_is_tried_again_by_the_next_one() -> None:
    kitchen = Kitchen()
    kitchen.fails = True
    with pytest.raises(OSError, match="no files"):
        await kitchen.pages.page()
    kitchen.fails = False
    assert await kitchen.pages.page() == b"2"
