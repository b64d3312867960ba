"""One server for the tests that do not harm it."""

from tests.router.fleet.conftest import own_server, server

__all__ = ["own_server", "server"]
