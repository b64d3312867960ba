"""The link against real servers: order, deadlines, the breaker, reconnection, scripts."""

import asyncio
from dataclasses import replace

import pytest

from router.shared.address import Endpoint
from router.shared.failure import DOWN, LOST, OPEN, SLOW, Failure, FailureKind
from router.shared.link import Link
from router.shared.script import Script, command
from tests.router.shared.conftest import LIMITS, QUICK, make_link, running_link, until
from tests.servers import RedisServer

PING = command("PING")
ECHO = Script("echo", "return ARGV[1]")


async def outcomes(link: Link) -> dict[str, float]:
    return {labels[0]: count for labels, count in link.counters.calls.values.items()}


async def test_replies_go_to_who_asked_in_any_number(server: RedisServer) -> None:
    async with running_link(server.url) as link:
        asked = [link.ask(command("ECHO", f"{number}")) for number in range(500)]
        told = [link.tell(ECHO("key", number)) for number in range(500)]
        assert [await each for each in (*asked, *told)] == [str(number % 500).encode() for number in range(1000)]


async def test_commands_of_one_turn_go_out_in_one_write(server: RedisServer) -> None:
    async with running_link(server.url, LIMITS) as link:
        assert link._wire is not None
        transport = link._wire._transport
        writes: list[bytes] = []

        class Spy:
            def write(self, data: bytes) -> None:
                writes.append(data)
                assert transport is not None
                transport.write(data)

            def __getattr__(self, name: str) -> object:
                return getattr(transport, name)

        link._wire._transport = Spy()  # type: ignore[assignment]
        first, second = link.ask(command("ECHO", "1")), link.tell(command("ECHO", "2"))
        assert (await first, await second) == (b"1", b"2")
        assert len(writes) == 1


async def test_error_replies_are_values(server: RedisServer) -> None:
    async with running_link(server.url) as link:
        answer = await link.ask(command("NO-SUCH-COMMAND"))
        assert isinstance(answer, Failure) and answer.kind is FailureKind.ERROR
        assert await link.ask(command("GET", "nothing")) is None
        failed = await link.ask(Script("broken", "return redis.call('GET')")("key"))
        assert isinstance(failed, Failure) and failed.kind is FailureKind.ERROR


async def test_a_flushed_script_is_sent_again_in_order(server: RedisServer) -> None:
    append = Script("append", "return redis.call('APPEND', KEYS[1], ARGV[1])")
    async with running_link(server.url) as link:
        for _ in range(2):
            with server.client() as client:
                client.flushall()
                client.script_flush()
            answers = [link.tell(append("text", letter)) for letter in "abcdef"]
            assert [await each for each in answers] == [1, 2, 3, 4, 5, 6]
            assert await link.ask(command("GET", "text")) == b"abcdef"


async def test_a_late_reply_is_nobody_elses(own_server: RedisServer) -> None:
    async with running_link(own_server.url, replace(QUICK, stalled_s=30.0)) as link:
        own_server.freeze()
        late = link.ask(PING)
        next_one = link.tell(command("ECHO", "mine"))
        assert await late == SLOW
        own_server.thaw()
        assert await next_one == b"mine"
        await until(lambda: link.counters.late.values[()] >= 1)


async def test_who_leaves_does_not_take_others_replies(server: RedisServer) -> None:
    async with running_link(server.url) as link:
        leaving = asyncio.ensure_future(link.ask(command("ECHO", "gone")))
        staying = link.ask(command("ECHO", "here"))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await staying == b"here"


async def test_without_a_server_everything_fails_at_once_and_recovers_when_it_comes(own_server: RedisServer) -> None:
    own_server.kill()
    async with make_link(own_server.url) as link:
        assert await link.ask(PING) == DOWN
        await until(lambda: link.counters.connect_failures.values[()] >= 2)
        assert not link.connected and not link.responsive
        own_server.start()
        await until(lambda: link.responsive)
        assert await link.ask(PING) == b"PONG"
    assert await link.ask(PING) == DOWN
    assert (await outcomes(link))["down"] == 2


async def test_a_killed_server_loses_what_was_under_way_and_is_found_again(own_server: RedisServer) -> None:
    ups = []
    async with running_link(own_server.url) as link:
        link.on_up.append(lambda: ups.append(1))
        own_server.freeze()
        waiting = link.tell(PING)
        await asyncio.sleep(0.01)
        own_server.kill()
        assert await waiting == LOST
        await until(lambda: not link.connected)
        own_server.start()
        await until(lambda: link.connected)
        assert await link.ask(PING) == b"PONG"
        assert ups == [1]


async def test_a_frozen_server_opens_the_breaker_and_then_loses_the_connection(own_server: RedisServer) -> None:
    async with running_link(own_server.url, QUICK) as link:
        own_server.freeze()
        for _ in range(QUICK.slow_in_row):
            assert await link.ask(PING) == SLOW
        await until(lambda: not link.responsive)
        assert await link.ask(PING) in (OPEN, DOWN)
        await until(lambda: not link.connected)
        own_server.thaw()
        await until(lambda: link.responsive)
        assert await link.ask(PING) == b"PONG"


async def test_the_breaker_closes_when_the_server_is_quick_again(own_server: RedisServer) -> None:
    async with running_link(own_server.url, replace(QUICK, stalled_s=30.0)) as link:
        own_server.freeze()
        told = link.tell(PING)
        while link.responsive:
            await link.ask(PING)
        assert link.connected
        assert await link.ask(PING) == OPEN
        own_server.thaw()
        assert await told == b"PONG", "what nobody waits for goes on meanwhile"
        await until(lambda: link.responsive)
        assert await link.ask(PING) == b"PONG"
        assert link.counters.connections.values[()] == 1


async def test_a_dead_peer_is_noticed_without_traffic(own_server: RedisServer) -> None:
    async with running_link(own_server.url) as link:
        own_server.freeze()
        await until(lambda: not link.connected)


async def test_user_password_and_database(own_server: RedisServer) -> None:
    with own_server.client() as client:
        client.execute_command("ACL", "SETUSER", "router", "on", ">pass:word", "~*", "+@all")
        client.execute_command("ACL", "SETUSER", "default", "off")
    place = f"127.0.0.1:{own_server.port}"
    async with running_link(f"redis://router:pass%3Aword@{place}/3") as link:
        await link.ask(command("SET", "where", "3"))
    async with running_link(f"unix://router:pass%3Aword@{own_server.socket_path}?db=3") as link:
        assert await link.ask(command("GET", "where")) == b"3"
    async with make_link(f"redis://router:wrong@{place}") as link:
        await until(lambda: link.counters.connect_failures.values[()] >= 1)
        assert not link.connected


async def test_no_password_is_ever_logged(own_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async with make_link(f"redis://user:very-secret@127.0.0.1:{own_server.port}") as link:
        await until(lambda: link.counters.connect_failures.values[()] >= 1)
    assert "no connection to Redis" in caplog.text
    assert "very-secret" not in caplog.text


async def test_what_speaks_no_redis_is_given_up() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as stranger:
        port = stranger.sockets[0].getsockname()[1]
        async with make_link(f"redis://127.0.0.1:{port}") as link:
            await until(lambda: link.counters.connect_failures.values[()] >= 2)


async def test_a_replica_that_takes_no_writes_is_left(own_server: RedisServer) -> None:
    with RedisServer() as primary:
        with own_server.client() as client:
            client.replicaof("127.0.0.1", str(primary.port))
        async with running_link(own_server.url) as link:
            answer = await link.tell(command("SET", "a", "b"))
            assert isinstance(answer, Failure) and answer.kind is FailureKind.MOVED
            await until(lambda: link.counters.connections.values[()] >= 2)


async def test_full_memory_is_said(own_server: RedisServer) -> None:
    with own_server.client() as client:
        client.config_set("maxmemory", "1")
    async with running_link(own_server.url) as link:
        for call in (command("SET", "a", "b"), Script("set", "redis.call('SET', 'a', 'b')")("key")):
            answer = await link.tell(call)
            assert isinstance(answer, Failure) and answer.kind is FailureKind.FULL


async def test_a_host_that_cannot_be_encoded_is_a_connection_that_could_not_be_made() -> None:
    link = make_link("redis://host")
    link.address = replace(link.address, endpoints=(Endpoint("a..b", 6379),))
    async with link:
        await until(lambda: link.counters.connect_failures.values[()] > 1)
    assert not link._background.restarts.values
