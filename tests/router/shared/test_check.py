"""Different secrets are noticed."""

from router.shared.check import SecretCheck
from router.shared.keys import Keys
from tests.router.shared.conftest import make_link, running_link
from tests.servers import RedisServer


async def test_the_first_secret_counts(server: RedisServer) -> None:
    keys = Keys("check-test")
    async with running_link(server.url) as link:
        assert await SecretCheck(link, keys, b"one").run() is True
        assert await SecretCheck(link, keys, b"one").run() is True
        assert not link.counters.secret_differs
        assert await SecretCheck(link, keys, b"two").run() is False
        assert link.counters.secret_differs
        assert await SecretCheck(link, keys, b"one").run() is True
        assert not link.counters.secret_differs
        with server.client() as client:
            assert b"one" not in (client.get(keys.check) or b"")
            assert client.ttl(keys.check) > 0
    assert await SecretCheck(make_link(server.url), keys, b"one").run() is None
