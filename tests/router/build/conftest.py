"""The event loop that serves in production."""

from tests.router.http.conftest import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]
