"""One server for the tests that do not harm it; what differs between Redis and Valkey, `tests/router/shared` tries."""

from collections.abc import Iterator

import pytest

from tests.router.shared.conftest import own_server
from tests.servers import RedisServer

__all__ = ["own_server"]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A server that no test of the module harms."""
    with RedisServer() as server:
        yield server
