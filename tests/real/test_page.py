"""The page at /admin/ui in a real browser: it works by keyboard, fits a phone, keeps the key to itself, and axe finds
no serious fault in it.

Skipped unless WARMROUTE_TEST_CHROMIUM names a Chromium and WARMROUTE_TEST_AXE the file axe.min.js of the npm package
axe-core.
It needs `pip install playwright`, without a browser of its own.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.engines import EngineThread
from tests.routers import MODEL, chat, running_router

CHROMIUM, AXE = os.environ.get("WARMROUTE_TEST_CHROMIUM", ""), os.environ.get("WARMROUTE_TEST_AXE", "")
LONG = "The page shows who holds what. " * 400
SERIOUS = {"serious", "critical"}

pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and AXE), reason="WARMROUTE_TEST_CHROMIUM and WARMROUTE_TEST_AXE are not set"),
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(180),
]


@asynccontextmanager
async def browsing(width: int, scheme: str, bypass_csp: bool = False) -> AsyncIterator[tuple[Any, list[str]]]:
    """A browser's page, and what went wrong in it. `bypass_csp`: axe has to be put into it."""
    api = pytest.importorskip("playwright.async_api")
    async with api.async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = await browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=bypass_csp
        )
        page, wrong = await context.new_page(), list[str]()
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        try:
            yield page, wrong
        finally:
            await browser.close()


@asynccontextmanager
async def a_site(**settings: Any) -> AsyncIterator[tuple[str, Any]]:
    with EngineThread(model=MODEL) as one, EngineThread(model=MODEL) as two:
        async with running_router(one.url, two.url, **settings) as router:
            router.parts.fleet.add("http://127.0.0.1:9")
            yield router.url, router


async def sign_in(page: Any, url: str) -> None:
    await page.goto(f"{url}/admin/ui")
    await page.keyboard.type("admin")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#status:not([hidden])")


async def test_it_works_by_keyboard_and_keeps_the_key_to_itself() -> None:
    async with a_site() as (url, router), browsing(1280, "light") as (page, wrong):
        await sign_in(page, url)
        for _ in range(2):
            await router.client.post("/v1/chat/completions", json=chat(LONG))
        await page.wait_for_selector(".decision")
        for _ in range(10):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.tagName") == "SUMMARY":
                break
        await page.keyboard.press("Enter")
        assert await page.locator(".decision[open] tbody tr").count() == 2
        assert "cached" in await page.locator(".decision .reason").first.text_content()
        assert await page.locator(".worker").count() == 3
        assert await page.evaluate("localStorage.length") == 0
        assert page.url == f"{url}/admin/ui"
        assert wrong == []
        await page.click("#forget")
        assert await page.evaluate("sessionStorage.length") == 0
        await page.keyboard.type("wrong")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#wrong:not(:empty)")


async def test_an_open_one_asks_for_no_key() -> None:
    async with a_site(open_status=True) as (url, _), browsing(390, "dark") as (page, wrong):
        await page.goto(f"{url}/admin/ui")
        await page.wait_for_selector(".worker")
        assert await page.is_hidden("#login")
        assert await page.is_hidden("#forget")
        assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
async def test_axe_finds_no_serious_fault_and_nothing_sticks_out(width: int, scheme: str) -> None:
    async with a_site() as (url, router), browsing(width, scheme, bypass_csp=True) as (page, _):
        await page.goto(f"{url}/admin/ui")
        await page.add_script_tag(path=AXE)
        before = await page.evaluate("axe.run()")
        await sign_in(page, url)
        await router.client.post("/v1/chat/completions", json=chat(LONG))
        await page.click(".decision summary")
        await page.add_script_tag(path=AXE)
        after = await page.evaluate("axe.run()")
        for found in (before, after):
            assert len(found["passes"]) > 10
            assert [each["id"] for each in found["violations"] if each["impact"] in SERIOUS] == []
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
