"""Routers reach the drill's Redis over TLS, as a user who may do what is documented and no more."""

import shutil

import pytest

from loadtests.harness.redis_stores import secured
from router.shared.failure import Failure, FailureKind
from router.shared.script import command
from tests.router.shared.conftest import running_link


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server with TLS")
async def test_the_secured_store_lets_a_router_in_and_nothing_else() -> None:
    async with secured() as store:
        assert store.url.startswith("rediss://warmroute:")
        async with running_link(store.url) as link:
            assert await link.tell(command("SET", "{warmroute}:x", "1")) == b"OK"
            refused = await link.tell(command("FLUSHALL"))
            assert isinstance(refused, Failure) and refused.kind is FailureKind.DENIED
        assert await store.servers[0].ask("DBSIZE") == "1"
