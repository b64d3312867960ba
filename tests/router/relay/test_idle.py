"""Connections to workers that wait: the one used last goes out first, and those that wait for long are closed."""

import asyncio
from typing import Any, cast

from aiohttp.connector import Connection

from router.relay import idle
from router.relay.idle import IdleConnections


class Wire:
    """What the pool uses of a connection."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def wire() -> Any:
    return cast(Connection, Wire())


async def test_the_one_used_last_goes_out_first_and_none_twice() -> None:
    pool, first, second = IdleConnections(asyncio.get_running_loop()), wire(), wire()
    assert pool.take("http://a") is None
    pool.give("http://a", first)
    pool.give("http://a", second)
    assert pool.take("http://b") is None
    assert [pool.take("http://a") for _ in range(3)] == [second, first, None]
    pool.close()


async def test_a_connection_that_its_worker_closed_is_passed_over() -> None:
    pool, first, second = IdleConnections(asyncio.get_running_loop()), wire(), wire()
    pool.give("http://a", first)
    pool.give("http://a", second)
    second.close()
    assert pool.take("http://a") is first
    pool.close()


async def test_one_that_waited_for_too_long_is_closed_and_does_not_go_out(monkeypatch: Any) -> None:
    monkeypatch.setattr(idle, "POOL_IDLE_S", 0.05)
    pool, old, late = IdleConnections(asyncio.get_running_loop()), wire(), wire()
    pool.give("http://a", old)
    pool.give("http://b", late)
    loop = asyncio.get_running_loop()
    until = loop.time() + 20
    while len(pool) and loop.time() < until:
        await asyncio.sleep(0.02)
    assert (len(pool), old.closed, late.closed) == (0, True, True)
    pool.give("http://a", wire())
    monkeypatch.setattr(idle, "POOL_IDLE_S", 0.0)
    assert pool.take("http://a") is None
    pool.close()


async def test_at_the_end_all_are_closed_and_those_that_come_later() -> None:
    pool, waiting, running = IdleConnections(asyncio.get_running_loop()), wire(), wire()
    pool.give("http://a", waiting)
    pool.close()
    pool.give("http://a", running)
    assert waiting.closed and running.closed and not len(pool)
