"""These tests run on the event loop that serves in production: it closes, half-closes and buffers in its own way."""

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Mapping

import pytest_asyncio
import uvloop

from tests.router.http.site import Site, running_site


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[Site]:
    """One for all the tests of a module, which have to run in the module's loop: none may harm it."""
    async with running_site() as running:
        yield running
