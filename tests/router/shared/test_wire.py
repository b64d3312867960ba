"""One connection, fed by hand: every command takes one reply. Real servers: `test_link`."""

import asyncio
from typing import Any

import pytest

from router.shared.counters import LinkCounters
from router.shared.failure import INVALID, LOST, SLOW, Failure, FailureKind
from router.shared.script import Command, Script, command
from router.shared.wire import MAX_UNSENT_BYTES, Answer, Call, Wire
from tests.router.metrics_page import page

GET = command("GET", "a")
GET_BYTES = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"


class Transport(asyncio.Transport):
    """Keeps what is written, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False
        self.unsent = 0

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


class Bench:
    """A connection that stands."""

    def __init__(self) -> None:
        self.counters = LinkCounters()
        self.wire = Wire(self.counters)
        self.transport = Transport()
        self.wire.connection_made(self.transport)

    def send(self, one: Command = GET, patience_s: float = 5.0, urgent: bool = True) -> "asyncio.Future[Answer]":
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.wire.send(Call(one, future, patience_s, urgent))
        return future

    def count(self, outcome: str) -> float:
        return self.counters.calls.values.get((outcome,), 0)


async def test_commands_of_one_turn_go_out_in_one_write_and_get_their_replies_in_order() -> None:
    bench = Bench()
    one, two = bench.send(), bench.send()
    assert bench.transport.written == []
    await asyncio.sleep(0)
    assert bench.transport.written == [GET_BYTES * 2]
    bench.wire.data_received(b"$1\r\nx\r\n:")
    assert one.result() == b"x" and not two.done()
    bench.wire.data_received(b"7\r\n")
    assert two.result() == 7
    assert bench.count("ok") == page(bench.counters)["warmroute_redis_round_trip_seconds_count{}"] == 2


async def test_a_late_reply_is_taken_off_and_is_nobody_else_s() -> None:
    bench = Bench()
    late = bench.send(patience_s=0.01)
    assert await late == SLOW
    assert (bench.wire.slow_in_row, bench.wire.stirred.is_set()) == (1, True)
    next_one = bench.send()
    bench.wire.data_received(b"$4\r\nlate\r\n")
    assert not next_one.done()
    assert bench.wire.slow_in_row == 1, "a late reply does not make up for itself"
    bench.wire.data_received(b"$3\r\nown\r\n")
    assert next_one.result() == b"own"
    assert (bench.wire.slow_in_row, bench.counters.late.values[()]) == (0, 1)


async def test_what_is_not_urgent_is_not_held_against_the_server() -> None:
    bench = Bench()
    assert await bench.send(patience_s=0.01, urgent=False) == SLOW
    assert (bench.wire.slow_in_row, bench.wire.stirred.is_set()) == (0, False)


async def test_who_leaves_still_takes_its_reply() -> None:
    bench = Bench()
    gone, other = bench.send(), bench.send()
    gone.cancel()
    bench.wire.data_received(b"+gone\r\n+other\r\n")
    assert other.result() == b"other"


async def test_a_script_that_is_not_known_is_sent_in_full() -> None:
    bench = Bench()
    found = bench.send(Script("s", "return 1")("key"))
    await asyncio.sleep(0)
    bench.wire.data_received(b"-NOSCRIPT no such script\r\n")
    assert not found.done()
    await asyncio.sleep(0)
    assert b"EVALSHA" in bench.transport.written[0]
    assert b"EVAL\r\n" in bench.transport.written[1] and b"return 1" in bench.transport.written[1]
    bench.wire.data_received(b":1\r\n")
    assert found.result() == 1


async def test_an_error_is_a_value_and_a_server_without_the_data_is_left() -> None:
    bench = Bench()
    denied, moved = bench.send(), bench.send()
    bench.wire.data_received(b"-NOPERM no\r\n")
    answer = denied.result()
    assert isinstance(answer, Failure) and answer.kind is FailureKind.DENIED
    assert not bench.wire.failed_over
    bench.wire.data_received(b"-MOVED 1 10.0.0.1:1\r\n")
    answer = moved.result()
    assert isinstance(answer, Failure) and answer.kind is FailureKind.MOVED
    assert bench.wire.failed_over and bench.wire.stirred.is_set()


@pytest.mark.parametrize("data", [b"HTTP/1.1 400\r\n", b"*9999999\r\n"])
async def test_what_cannot_be_read_ends_the_connection(data: bytes) -> None:
    bench = Bench()
    first, second = bench.send(), bench.send()
    bench.wire.data_received(data)
    assert first.result() == INVALID
    assert bench.transport.aborted and bench.wire.closing
    bench.wire.data_received(b"+more\r\n")
    assert not second.done(), "nothing more is read"
    bench.wire.connection_lost(None)
    assert second.result() == LOST
    assert bench.counters.refused.values == {("reply",): 1}


async def test_a_reply_without_a_command_ends_the_connection() -> None:
    bench = Bench()
    bench.wire.data_received(b"+OK\r\n")
    assert bench.transport.aborted


async def test_a_lost_connection_is_told_to_all_and_takes_no_more() -> None:
    bench = Bench()
    waiting = bench.send()
    bench.wire.connection_lost(None)
    assert (waiting.result(), bench.send().result()) == (LOST, LOST)
    assert bench.wire.lost and bench.wire.stirred.is_set() and bench.wire.closing
    assert bench.count("lost") == 2


async def test_a_server_that_reads_nothing_gets_no_more() -> None:
    bench = Bench()
    bench.transport.unsent = MAX_UNSENT_BYTES
    assert not bench.send().done()
    bench.transport.unsent += 1
    assert bench.send().result() == SLOW


async def test_the_oldest_unanswered_command_tells_how_long_the_server_is_silent() -> None:
    bench = Bench()
    assert bench.wire.waiting_s(100.0) == 0
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    call = Call(GET, future, 5.0, True)
    bench.wire.send(call)
    assert bench.wire.waiting_s(call.sent_at + 3) == pytest.approx(3)
