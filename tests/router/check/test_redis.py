"""Redis servers that would not do, over real sockets."""

from typing import Any

import pytest

from loadtests.harness.redis_server import RedisProcess
from router.build.basics import basics_of
from router.build.tuning import DEFAULTS
from router.check.finding import Finding
from router.check.redis import of_redis
from router.settings.setting import Secret
from tests.routers import settings_for

SECRET = Secret("s" * 40)


async def found(url: str, **changes: Any) -> list[Finding]:
    settings = settings_for(redis=url, **{"index_secret": SECRET, **changes})
    return await of_redis(basics_of(settings, DEFAULTS))


async def test_a_server_that_will_do() -> None:
    async with RedisProcess() as redis:
        (one,) = await found(redis.url)
        assert (one.level, one.subject) == ("ok", "redis")
        assert await redis.ask("DBSIZE") != ""


async def test_another_secret_is_told() -> None:
    async with RedisProcess() as redis:
        await found(redis.url)
        told = await found(redis.url, index_secret=Secret("t" * 40))
        assert [one.level for one in told] == ["ok", "error"]
        assert "--index-secret" in told[1].advice


async def test_a_server_that_drops_keys_or_is_small_is_told() -> None:
    async with RedisProcess(maxmemory="10mb", maxmemory_policy="allkeys-lru") as redis:
        told = {one.text.split(" is ")[0]: one for one in await found(redis.url)}
        assert told["maxmemory-policy"].advice == "set noeviction"
        assert "--redis-max-memory-bytes" in told["maxmemory"].advice


@pytest.mark.parametrize("denied", ["eval", "set", "info"])
async def test_rights_that_are_missing_are_told(denied: str) -> None:
    async with RedisProcess() as redis:
        await redis.ask("ACL", "SETUSER", "router", "on", ">word", "~*", "+@all", f"-{denied}")
        told = await found(redis.url.replace("//", "//router:word@"))
        assert [one.level for one in told if "does not let" in one.text] == ["error"]


async def test_no_server_is_told() -> None:
    (one,) = await of_redis(basics_of(settings_for(redis="redis://127.0.0.1:1", index_secret=SECRET), DEFAULTS), 0.2)
    assert (one.level, one.subject) == ("error", "redis")
    assert "no connection" in one.text
