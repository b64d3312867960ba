"""URLs, and finding who is in charge with real sentinels and a real cluster node."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from loadtests.ports import ports
from router.shared.address import Endpoint, UnreachableError, parse_address
from router.shared.script import command
from tests.router.shared.conftest import make_link, running_link, until
from tests.servers import RedisServer, binaries


def test_a_url_says_where_the_server_is_and_who_logs_in() -> None:
    one = parse_address("redis://user:p%40ss@example.org:7000/2")
    assert (one.endpoints, one.username, one.password, one.db) == ((Endpoint("example.org", 7000),), "user", "p@ss", 2)
    assert parse_address("redis://host").endpoints == (Endpoint("host", 6379),)
    assert parse_address("redis://[::1]:7000").endpoints == (Endpoint("::1", 7000),)
    assert parse_address("unix:///run/redis.sock?db=1").endpoints == (Endpoint(path="/run/redis.sock"),)
    assert parse_address("redis://host", "other").password == "other"
    watched = parse_address("redis+sentinel://:p@a,b:7000/main?db=4&sentinel_password=s")
    assert watched.endpoints == (Endpoint("a", 26379), Endpoint("b", 7000))
    assert (watched.service, watched.password, watched.sentinel_password, watched.db) == ("main", "p", "s", 4)
    assert parse_address("redis+cluster://a:1,b:2").kind == "cluster"
    assert watched.redacted == "a:26379,b:7000"


def test_rediss_checks_the_certificate_unless_it_says_not_to() -> None:
    checked = parse_address("rediss://host").tls
    assert checked is not None and checked.check_hostname and checked.verify_mode is ssl.CERT_REQUIRED
    trusting = parse_address("rediss+sentinel://host/main?ssl_cert_reqs=none").tls
    assert trusting is not None and trusting.verify_mode is ssl.CERT_NONE
    assert parse_address("redis://host").tls is None


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "redis://",
        "redis://host:0",
        "redis://host:70000",
        "redis://secret@host/x",
        "redis://a,b",
        "redis+sentinel://a:1",
        "rediss://host?ssl_ca_certs=/no/such/file",
        "redis://a..b:6379",
        "redis://.a",
        "redis://[::1",
        "redis://:secret@[::1",
        "redis://:secret@h\u2100st",
        f"redis://{'x' * 64}",
        "redis+sentinel://a,b..c/main",
        "redis+cluster://a,.b",
    ],
)
def test_urls_that_are_wrong_are_refused_without_their_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|names") as refused:
        parse_address(url)
    assert "secret" not in str(refused.value)


@pytest.fixture(params=binaries())
def sentinel(request: pytest.FixtureRequest) -> Iterator[tuple[RedisServer, RedisServer, RedisServer]]:
    """A primary, its replica, and a sentinel that watches them."""
    flavour = request.param
    with RedisServer(flavour) as primary, RedisServer(flavour, replicaof=f"127.0.0.1 {primary.port}") as replica:
        watcher = RedisServer(flavour, "--sentinel")
        with watcher.as_sentinel(primary.port):
            yield primary, replica, watcher


async def test_sentinel_says_who_is_in_charge_and_a_failover_is_followed(
    sentinel: tuple[RedisServer, RedisServer, RedisServer],
) -> None:
    primary, replica, watcher = sentinel
    url = f"redis+sentinel://127.0.0.1:{watcher.port}/main"
    address = parse_address(url)
    assert await address.find("key") == Endpoint("127.0.0.1", primary.port)
    async with running_link(url) as link:
        assert await link.ask(command("SET", "a", "1")) == b"OK"
        with watcher.client() as client:
            await until(lambda: len(client.sentinel_slaves("main")) == 1, 20)
        primary.kill()
        await until(lambda: link.connected and link.counters.connections.values[()] >= 2, 30)
        assert await link.tell(command("SET", "a", "2")) == b"OK"
        with replica.client() as client:
            assert client.get("a") == b"2"


async def test_an_unknown_service_is_no_address(sentinel: tuple[RedisServer, RedisServer, RedisServer]) -> None:
    with pytest.raises(UnreachableError):
        await parse_address(f"redis+sentinel://127.0.0.1:{sentinel[2].port}/other").find("key")
    async with make_link(f"redis+sentinel://127.0.0.1:{ports(1)[0]}/main") as link:
        await until(lambda: link.counters.connect_failures.values[()] >= 1)


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
async def test_a_host_that_never_answers_does_not_hide_the_others(kind: str) -> None:
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        if kind == "sentinel":
            primary = stack.enter_context(RedisServer())
            asked = stack.enter_context(RedisServer("valkey").as_sentinel(primary.port))
        else:
            settings = {"cluster_enabled": "yes", "cluster_port": str(ports(1)[0])}
            primary = asked = stack.enter_context(RedisServer(**settings))
            stack.enter_context(primary.client()).execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        hosts = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{asked.port}"
        url = f"redis+{kind}://{hosts}" + ("/main" if kind == "sentinel" else "")
        assert await parse_address(url).find("key") == Endpoint("127.0.0.1", primary.port)


@pytest.mark.parametrize("flavour", binaries())
async def test_a_cluster_node_is_found_by_the_key(flavour: str) -> None:
    with RedisServer(flavour, cluster_enabled="yes", cluster_port=str(ports(1)[0])) as node:
        with node.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            await until(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"))
        url = f"redis+cluster://127.0.0.1:{node.port}"
        assert await parse_address(url).find("{warmroute}:x") == Endpoint("127.0.0.1", node.port)
        async with running_link(url) as link:
            assert await link.ask(command("SET", "{warmroute}:x", "1")) == b"OK"
