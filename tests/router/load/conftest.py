"""The servers of `tests/router/shared`."""

from tests.router.shared.conftest import own_server, server

__all__ = ["own_server", "server"]
