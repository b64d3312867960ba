"""Names are checked by address whenever they are dialled, by both clients."""

import socket

import httpx
import pytest

from router.dial.allow import AllowList, read_rule
from router.dial.resolver import CheckedTransport, Resolver
from router.engines import control_client
from router.engines.answers import WorkerAnswerError, fetch
from tests.router.fake_worker import Answer, FakeWorker


def resolver(*rules: str) -> Resolver:
    return Resolver(AllowList([read_rule(rule) for rule in rules]))


def test_only_the_allowed_addresses_of_a_name_are_kept() -> None:
    found = resolver("*.w.test", "10.0.0.0/8").allowed(
        "a.w.test", 80, ["10.0.0.1", "127.0.0.1", "8.8.8.8", "fe80::1%2"]
    )
    assert [(one["host"], one["hostname"], one["family"]) for one in found] == [
        ("10.0.0.1", "a.w.test", socket.AF_INET)
    ]


def test_a_name_that_leads_nowhere_else_is_refused_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    both = resolver("*.w.test")
    for _ in range(3):
        with pytest.raises(OSError, match="allowed"):
            both.allowed("a.w.test", 80, ["169.254.169.254"])
    assert len(caplog.records) == 1


async def test_a_name_that_resolves_to_loopback_is_not_dialled_unless_that_is_allowed() -> None:
    async with FakeWorker({"/x": Answer("here")}) as worker:
        url = worker.url.replace("127.0.0.1", "localhost")
        async with control_client(5, resolver=resolver("other.test")) as client:
            with pytest.raises(WorkerAnswerError, match="no answer"):
                await fetch(client, url, "/x")
        assert worker.asked == []
        async with control_client(5, resolver=resolver("localhost")) as client:
            assert await fetch(client, url, "/x") == b"here"
        assert worker.asked == ["/x"]


async def test_the_name_stays_in_the_host_header_and_the_next_address_is_tried() -> None:
    asked: list[httpx.Request] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if len(asked) == 1:
            raise httpx.ConnectError("down", request=request)
        return httpx.Response(200)

    class Two(Resolver):
        async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC):  # type: ignore[no-untyped-def]
            return self.allowed(host, port, ["10.0.0.1", "10.0.0.2"])

    transport = CheckedTransport(httpx.MockTransport(answer), Two(AllowList([read_rule("w.test")])))
    async with httpx.AsyncClient(transport=transport) as client:
        assert (await client.get("https://w.test:8443/x")).status_code == 200
    last = asked[-1]
    assert (last.headers["host"], last.extensions["sni_hostname"]) == ("w.test:8443", "w.test")
    assert str(last.url) == "https://10.0.0.2:8443/x"
