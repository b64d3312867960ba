"""Nobody can make the router call an address of their choice: every attempt, by every way in, is refused, and nothing
is sent.

The rules allow one network and one suffix, neither of which an attempt is in. A worker listens on loopback, on the port
that the attempts name: were one of them let through, its probe would be heard there.
"""

import json
import random
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import pytest_asyncio

from loadtests.harness.name_server import NameServer
from router.build.make_discovery import resolver_of
from router.dial.allow import AllowList, read_rule
from router.dial.resolver import Resolver
from router.dial.service_name import read_service
from router.engines.probe import ProbeConfig, Prober
from router.fleet.worker_names import worker_id
from router.members.book import Book, EntryOutcome
from router.members.dns import DnsSource
from router.members.endpoint_slices import EndpointSlice, specs_of
from router.members.entry import Entry, Standing
from router.members.file import read_page
from router.members.kubernetes import KubernetesApi, KubernetesSource
from router.members.membership import Membership
from router.members.reconcile import Reconciler
from tests.router.fake_worker import FakeWorker, client, vllm
from tests.router.fleets import make_fleet
from tests.router.members.api_server import endpoint, slice_of
from tests.router.members.findings import membership
from tests.routers import RunningRouter, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY = {"x-warmroute-admin-key": "admin"}
NO_PROBER = Prober(make_fleet(0), client(), time.monotonic, random.Random(1), ProbeConfig())
RULES = ("10.9.0.0/16:8000", "*.workers.test:8000")

ATTEMPTS = (
    # loopback, as it is and in disguise
    "http://127.0.0.1:{port}", "http://127.1.2.3:{port}", "http://localhost:{port}", "http://LOCALHOST:{port}",
    "http://localhost.localdomain:{port}", "http://localhost.:{port}", "http://127.0.0.1.:{port}", "http://127.1:{port}",
    "http://2130706433:{port}", "http://0x7f000001:{port}", "http://0x7f.0.0.1:{port}", "http://0177.0.0.1:{port}",
    "http://017700000001:{port}", "http://127.0.0.01:{port}", "http://0:{port}", "http://0.0.0.0:{port}",
    "http://[::1]:{port}", "http://[::]:{port}", "http://[::ffff:127.0.0.1]:{port}", "http://[::ffff:7f00:1]:{port}",
    "http://[::127.0.0.1]:{port}", "http://[64:ff9b::7f00:1]:{port}", "http://[2002:7f00:1::]:{port}",
    "http://[0:0:0:0:0:0:0:1]:{port}", "http://[::1%25lo]:{port}", "http://[::1%lo]:{port}",
    "http://127.0.0.1.nip.io:{port}", "http://①②⑦.⓪.⓪.①:{port}", "http://127。0。0。1:{port}",
    "http://\uff4cocalhost:{port}", "http://%6cocalhost:{port}", "http://127.0.0.1%2f@10.9.0.1:{port}",
    # metadata services and link-local
    "http://169.254.169.254", "http://169.254.169.254:8000", "http://2852039166:8000", "http://0xa9fea9fe:8000",
    "http://[::ffff:169.254.169.254]:8000", "http://[fd00:ec2::254]:8000", "http://[fe80::1%25eth0]:8000",
    "http://[fe80::1]:8000", "http://100.100.100.200:8000", "http://168.63.129.16:8000",
    "http://metadata.google.internal", "http://169.254.170.2:8000", "http://192.0.0.192:8000",
    # two parsers, two hosts
    "http://10.9.0.1:8000@127.0.0.1:{port}", "http://127.0.0.1:{port}#@10.9.0.1:8000",
    "http://127.0.0.1:{port}\\@10.9.0.1:8000", "http://10.9.0.1:8000\\@127.0.0.1:{port}",
    "http://127.0.0.1:{port}?@10.9.0.1:8000", "http://127.0.0.1:{port}/@10.9.0.1:8000",
    "http://10.9.0.1:8000 @127.0.0.1:{port}", "http://10.9.0.1:8000\t127.0.0.1", "http://10.9.0.1:8000\r\nhost: x",
    "http:/127.0.0.1:{port}", "http:///127.0.0.1:{port}", "http:127.0.0.1:{port}", "//127.0.0.1:{port}",
    "127.0.0.1:{port}", " http://127.0.0.1:{port}", "http://10.9.0.1:8000:{port}", "http://u:p@a.workers.test:8000",
    # other schemes
    "file:///etc/passwd", "unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun%2Fdocker.sock", "ftp://10.9.0.1:8000",
    "gopher://10.9.0.1:8000", "ws://10.9.0.1:8000", "dict://127.0.0.1:6379", "HTTP+UNIX://10.9.0.1",
    "javascript:alert(1)",
    # beside what is allowed
    "http://10.9.0.1:6379", "http://10.9.0.1", "http://10.8.0.1:8000", "http://8.8.8.8:8000",
    "http://workers.test:8000", "http://evil-workers.test:8000", "http://a.workers.test.evil.net:8000",
    "http://a.workers.test:22", "http://a.workers.test:8000/../x", "http://.workers.test:8000",
    "http://a..workers.test:8000", "http://a.workers.test.:8000", "http://*.workers.test:8000", "http://224.0.0.1:8000",
    "http://255.255.255.255:8000", "http://a.workers.test:0", "http://a.workers.test:99999", "http://", "",
    "http://" + "a" * 3000 + ".workers.test:8000",
)  # fmt: skip


SPECIAL = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16",
    "192.0.0.192", "224.0.0.1", "255.255.255.255", "10.8.0.1", "8.8.8.8", "::1", "::", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "fd00:ec2::254", "fe80::1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1", "2600::1",
)  # fmt: skip
"""Addresses that a name may be made to lead to."""


class Place(NamedTuple):
    """A router that allows little, and a worker that must not hear from it."""

    router: RunningRouter
    hidden: FakeWorker


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place() -> AsyncIterator[Place]:
    async with FakeWorker(vllm()) as hidden, FakeWorker(vllm()) as listed:
        rules = tuple(read_rule(rule) for rule in RULES)
        async with running_router(listed.url, worker_allow=rules, worker_file="/nowhere/workers.json") as router:
            yield Place(router, hidden)


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_the_admin_api_refuses(place: Place, attempt: str) -> None:
    url = attempt.replace("{port}", place.hidden.url.rpartition(":")[2])
    answer = await place.router.client.post("/admin/workers", json={"url": url}, headers=KEY)
    assert answer.status_code in (400, 403)
    assert answer.json()["error"]["param"] == "url"
    assert len(place.router.parts.fleet.workers) == 1
    assert place.hidden.asked == []


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_a_file_is_refused(place: Place, attempt: str) -> None:
    """As a whole where a URL cannot be read, or that one worker."""
    url = attempt.replace("{port}", place.hidden.url.rpartition(":")[2])
    feed = place.router.parts.members.discovery.feeds[0]
    try:
        feed.found(read_page(json.dumps({"workers": [url]}).encode(), toml=False))
    except ValueError:
        pass
    else:
        assert feed.refused == 1
    assert len(place.router.parts.fleet.workers) == 1
    assert place.hidden.asked == []


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_another_routers_entry_is_refused(place: Place, attempt: str) -> None:
    """Properly signed: an attacker who holds one router, or a router with laxer rules."""
    url = attempt.replace("{port}", place.hidden.url.rpartition(":")[2])
    book = Book(place.router.parts.dial.allow.check, worker_id)
    entry = Entry(worker_id(url), url, Standing.PRESENT, True, 1_000_000, 1)
    assert book.accept(entry.worker, entry, 1.0) is EntryOutcome.NOT_ALLOWED
    assert list(book) == []


@pytest.mark.parametrize("ruled", [True, False], ids=["with rules", "without rules"])
@pytest.mark.parametrize("address", SPECIAL)
async def test_a_dns_name_cannot_lead_there(place: Place, address: str, ruled: bool) -> None:
    if address == "10.8.0.1" and not ruled:
        pytest.skip("a private address on the name's own port is what an operator means")
    port = int(place.hidden.url.rpartition(":")[2])
    members = Membership(membership().fleet, AllowList([read_rule(rule) for rule in RULES * ruled]), NO_PROBER)
    async with NameServer() as server:
        server.set("w.test", "AAAA" if ":" in address else "A", address)
        server.set("_http._tcp.w.test", "SRV", f"0 0 {port} w.test.")
        for name in (f"http://w.test:{port}", "http+srv://_http._tcp.w.test"):
            source = DnsSource(name, resolver_of(server.address), time.monotonic, 1.0)
            reconciler = Reconciler(members, [source], time.monotonic, 1.0)
            await source.look(reconciler.feeds[0])
            assert reconciler.feeds[0].refused == 1
    assert members.fleet.workers == {}
    assert place.hidden.asked == []


@pytest.mark.parametrize("ruled", [True, False], ids=["with rules", "without rules"])
@pytest.mark.parametrize("address", SPECIAL)
async def test_an_endpoint_slice_cannot_lead_there(place: Place, address: str, ruled: bool) -> None:
    """Who may write EndpointSlices in one namespace is not the operator."""
    if address == "10.8.0.1" and not ruled:
        pytest.skip("a private address is what an operator means")
    members = Membership(membership().fleet, AllowList([read_rule(rule) for rule in RULES * ruled]), NO_PROBER)
    api = KubernetesApi("http://127.0.0.1:1", Path("/nowhere"))
    service = read_service("llm/vllm:" + place.hidden.url.rpartition(":")[2])
    source = KubernetesSource(service, api, random.Random(1), 1.0)
    reconciler = Reconciler(members, [source], time.monotonic, 1.0)
    one = slice_of("s", endpoint(address, "u1"), kind="IPv6" if ":" in address else "IPv4")
    reconciler.feeds[0].found(specs_of([msgspec.convert(one, EndpointSlice)], service))
    assert reconciler.feeds[0].refused == 1
    assert members.fleet.workers == {}


async def test_a_name_that_turns_to_loopback_after_it_was_allowed_is_not_dialled() -> None:
    """DNS rebinding. What both clients do with this: `test_dial.py`."""
    for rules in (["*.w.test:8000"], ["*.w.test:8000", "10.0.0.0/8"]):
        allow = AllowList([read_rule(rule) for rule in rules])
        resolver = Resolver(allow)
        url = allow.check("http://a.w.test:8000")
        assert (url, len(resolver.allowed("a.w.test", 8000, ["10.0.0.1"]))) == ("http://a.w.test:8000", 1)
        for address in SPECIAL[:6]:
            with pytest.raises(OSError, match="allowed"):
                resolver.allowed("a.w.test", 8000, [address])


async def test_a_worker_cannot_send_the_router_elsewhere(place: Place) -> None:
    """Redirects are not followed: neither a probe's nor a request's."""
    away = {"location": place.hidden.url + "/v1/models"}
    routes = {path: replace(answer, status=307, headers=away) for path, answer in vllm().items()}
    async with FakeWorker(routes) as turning, running_router(turning.url, ready=False) as router:
        await turning.heard("/v1/models")
        assert not next(iter(router.parts.fleet.workers.values())).available()
    assert place.hidden.asked == []
