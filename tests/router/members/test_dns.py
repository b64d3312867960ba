"""A real DNS server on loopback, whose answers change, fail and stay away."""

from collections.abc import AsyncIterator

import dns.message
import dns.rcode
import pytest

from loadtests.harness.name_server import NameServer
from router.build.make_discovery import resolver_of
from router.dial.allow import Implied
from router.members.dns import EMPTY_S, MAX_PLACES, MAX_TTL_S, DnsSource
from tests.router.members.findings import Heard

NAME = "vllm.test"


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    async with NameServer(ttl_s=5) as running:
        yield running


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def source(server: NameServer, name: str = f"http://{NAME}:8000", clock: Clock | None = None) -> DnsSource:
    return DnsSource(name, resolver_of(server.address), clock or Clock(), 1.0)


async def test_addresses_of_both_families_are_workers_and_the_ttl_says_when_to_ask_again(server: NameServer) -> None:
    server.set(NAME, "A", "10.0.0.1", "10.0.0.2")
    server.set(NAME, "AAAA", "fd00::1", "::ffff:10.0.0.9")
    one, heard = source(server), Heard()
    assert await one.look(heard) == 5.0
    assert set(heard.sets[0]) == {f"http://{host}:8000" for host in ("10.0.0.1", "10.0.0.2", "[fd00::1]", "10.0.0.9")}
    assert (one.name, one.implied) == (f"dns:{NAME}:8000", Implied("http", 8000))


@pytest.mark.parametrize(("ttl_s", "wait_s"), [(0, 1.0), (30, 30.0), (86400, MAX_TTL_S)])
async def test_the_ttl_is_kept_within_bounds(server: NameServer, ttl_s: int, wait_s: float) -> None:
    server.ttl_s = ttl_s
    server.set(NAME, "A", "10.0.0.1")
    assert await source(server).look(Heard()) == wait_s


async def test_more_addresses_than_a_datagram_holds_come_over_tcp(server: NameServer) -> None:
    server.set(NAME, "A", *(f"10.0.{number}.1" for number in range(200)))
    heard = Heard()
    await source(server).look(heard)
    assert len(heard.sets[0]) == 200


async def test_a_failing_server_is_told_and_names_nobody_away(server: NameServer) -> None:
    server.set(NAME, "A", "10.0.0.1")
    one, heard = source(server), Heard()
    await one.look(heard)
    server.failing = True
    assert await one.look(heard) == 1.0
    assert heard.failures == ["no answer (NoNameservers)"]
    assert len(heard.sets) == 1


async def test_an_empty_answer_is_believed_only_when_it_lasts(server: NameServer) -> None:
    server.set(NAME, "A", "10.0.0.1")
    clock, heard = Clock(), Heard()
    one = source(server, clock=clock)
    await one.look(heard)
    server.records.clear()  # NXDOMAIN
    await one.look(heard)
    clock.now = EMPTY_S - 1
    server.set(NAME, "A")  # no data
    await one.look(heard)
    assert (len(heard.sets), heard.failures) == (1, ["the name has no address"] * 2)
    clock.now = EMPTY_S
    await one.look(heard)
    assert heard.sets[1] == {}


async def test_one_family_that_fails_keeps_its_last_answer() -> None:
    class Picky(NameServer):
        def _answer(self, data: bytes) -> dns.message.Message | None:
            answer = super()._answer(data)
            if answer is not None and self.ttl_s == 1 and b"\x00\x1c\x00\x01" in data:  # AAAA
                answer.set_rcode(dns.rcode.SERVFAIL)
                answer.answer.clear()
            return answer

    async with Picky(ttl_s=5) as server:
        server.set(NAME, "A", "10.0.0.1")
        server.set(NAME, "AAAA", "fd00::1")
        one, heard = source(server), Heard()
        await one.look(heard)
        server.ttl_s = 1
        server.set(NAME, "A", "10.0.0.2")
        await one.look(heard)
    assert set(heard.sets[1]) == {"http://10.0.0.2:8000", "http://[fd00::1]:8000"}


async def test_srv_records_of_the_best_priority_name_host_and_port_and_imply_nothing(server: NameServer) -> None:
    server.set("_http._tcp.vllm.test", "SRV", "0 1 8001 a.vllm.test.", "0 1 8002 b.vllm.test.", "9 1 8003 a.vllm.test.")
    server.set("a.vllm.test", "A", "10.0.0.1")
    server.set("b.vllm.test", "A", "10.0.0.2", "10.0.0.3")
    heard = Heard()
    one = source(server, "https+srv://_http._tcp.vllm.test/base")
    await one.look(heard)
    urls = {f"https://{place}/base" for place in ("10.0.0.1:8001", "10.0.0.2:8002", "10.0.0.3:8002")}
    assert set(heard.sets[0]) == urls
    assert one.implied is None


async def test_more_addresses_than_any_fleet_has_are_not_believed(server: NameServer) -> None:
    parts, each = 3, MAX_PLACES // 2
    for part in range(parts):
        server.set(f"{part}.vllm.test", "A", *(f"10.{part}.{at >> 8}.{at & 255}" for at in range(each)))
    server.set(NAME, "SRV", "0 1 8001 0.vllm.test.")
    one, heard = source(server, f"http+srv://{NAME}"), Heard()
    await one.look(heard)
    server.set(NAME, "SRV", *(f"0 1 8001 {part}.vllm.test." for part in range(parts)))
    assert await one.look(heard) == MAX_TTL_S
    assert [len(found) for found in heard.sets] == [each]
    assert heard.failures == [f"the name has over {MAX_PLACES} addresses"]


async def test_ever_new_targets_leave_nothing_behind(server: NameServer) -> None:
    one = source(server, f"http+srv://{NAME}")
    for number in range(5):
        server.set(f"{number}.vllm.test", "A", "10.0.0.1")
        server.set(NAME, "SRV", f"0 1 8001 {number}.vllm.test.")
        await one.look(Heard())
    assert {host for host, _ in one._last} == {"4.vllm.test."}
