"""These tests run on the event loop that serves in production: it closes, half-closes and buffers in its own way."""

import logging
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest
import pytest_asyncio
import uvloop

from tests.router.http.site import Site, running_site


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def nothing_went_wrong_inside(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever clients and workers do, it is no error of the router's: none is logged, nor by the event loop."""
    yield
    records = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    errors = [record.getMessage() for record in records if not str(record.threadName).startswith("engine-")]
    assert not errors


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[Site]:
    """One for all the tests of a module, which have to run in the module's loop: none may harm it."""
    async with running_site() as running:
        yield running
