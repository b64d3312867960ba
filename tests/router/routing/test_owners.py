"""Follow-ups of stored responses find their worker, whichever router is asked."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from router.routing.owners import ResponseOwners, SharedOwners
from router.shared.keys import Keys
from router.shared.link import Link
from router.shared.seal import Seal
from router.wire.errors import ApiError
from tests.router.fleets import make_fleet
from tests.router.shared.conftest import own_server, running_link
from tests.servers import RedisServer

__all__ = ["own_server"]
SEAL = Seal(b"a", "t", "response")
ELSEWHERE = SEAL.write(b"elsewhere", b"w-0000000000")
HEAD = b'{"id": "resp_abc", "object": "response"'


@pytest.fixture
async def link(own_server: RedisServer) -> AsyncIterator[Link]:
    async with running_link(own_server.url) as link:
        yield link


async def test_an_id_is_found_where_it_was_learned_only() -> None:
    fleet = make_fleet(3)
    worker = list(fleet.workers.values())[1]
    one, other = ResponseOwners(fleet), ResponseOwners(fleet)
    one.learn(HEAD, worker)
    assert await one.find("resp_abc") is worker
    with pytest.raises(ApiError, match="No worker"):
        await other.find("resp_abc")


async def test_a_shared_id_is_found_everywhere_and_tells_nothing(link: Link, own_server: RedisServer) -> None:
    fleet = make_fleet(3)
    worker = list(fleet.workers.values())[1]
    seals = SEAL, SEAL, Seal(b"another", "t", "response")
    one, other, foreign = (ResponseOwners(fleet, SharedOwners(link, Keys("t"), seal)) for seal in seals)
    one.learn(HEAD, worker)
    assert await other.find("resp_abc") is worker
    with pytest.raises(ApiError):
        await foreign.find("resp_abc")
    with own_server.client() as client:
        (key,) = client.keys("*")
        assert b"resp_abc" not in key
        assert client.ttl(key) > 0


@pytest.mark.parametrize("planted", [b"w-0000000000", b"\xff\xfe", b"", ELSEWHERE, b"x" * 9_000_000])
async def test_a_worker_that_is_none_of_the_fleet_is_not_believed(
    link: Link, own_server: RedisServer, planted: Any
) -> None:
    fleet = make_fleet(3)
    shared = SharedOwners(link, Keys("t"), SEAL)
    ResponseOwners(fleet, shared).learn(HEAD, next(iter(fleet.workers.values())))
    assert await ResponseOwners(fleet, shared).find("resp_abc")
    with own_server.client() as client:
        (key,) = client.keys("*")
        client.set(key, planted)
    with pytest.raises(ApiError):
        await ResponseOwners(fleet, shared).find("resp_abc")
