"""The fixtures of the HTTP tests: the event loop that serves in production, and one router for a module."""

from tests.router.http.conftest import nothing_went_wrong_inside, pytest_asyncio_loop_factories, site

__all__ = ["nothing_went_wrong_inside", "pytest_asyncio_loop_factories", "site"]
