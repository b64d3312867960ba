"""Attacks run on the event loop that serves in production, and no error may be logged."""

from tests.router.http.conftest import nothing_went_wrong_inside, pytest_asyncio_loop_factories

__all__ = ["nothing_went_wrong_inside", "pytest_asyncio_loop_factories"]
