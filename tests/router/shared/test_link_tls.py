"""The link over TLS, to a real server: what it trusts, what it shows, and that Sentinel is asked the same way."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme

from loadtests.ports import ports
from router.shared.address import Endpoint, parse_address
from router.shared.link import Link
from router.shared.script import command
from tests.router.shared.conftest import make_link, running_link, until
from tests.servers import RedisServer, binaries

HOST = "127.0.0.1"
pytestmark = pytest.mark.skipif("redis" not in binaries(), reason="no redis-server with TLS")


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


def files(folder: Path, ca: trustme.CA, *names: str) -> dict[str, str]:
    """Redis' directives for an authority and a certificate by it."""
    issued = ca.issue_cert(*names)
    folder.mkdir(exist_ok=True)
    ca.cert_pem.write_to_path(folder / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    directives = {"tls_ca_cert_file": "ca.pem", "tls_cert_file": "cert.pem", "tls_key_file": "key.pem"}
    return {name: str(folder / file) for name, file in directives.items()}


def shown(given: dict[str, str]) -> str:
    """The part of a URL that shows a certificate."""
    return f"ssl_certfile={given['tls_cert_file']}&ssl_keyfile={given['tls_key_file']}"


class TlsServer(RedisServer):
    """Speaks TLS on its port, and nothing else."""

    def __init__(self, certificates: dict[str, str], **settings: str) -> None:
        super().__init__("redis", **certificates, **settings)
        self._settings |= {"port": "0", "tls_port": str(self.port)}

    def client(self, **options: Any) -> "redis.Redis":
        return super().client(ssl=True, ssl_cert_reqs="none", **options)


@pytest.fixture
def server(ca: trustme.CA, tmp_path: Path) -> Iterator[TlsServer]:
    with TlsServer(files(tmp_path / "server", ca, HOST), tls_auth_clients="no") as server:
        yield server


async def refused(link: Link) -> None:
    async with link:
        await until(lambda: link.counters.connect_failures.values[()] >= 1)
        assert not link.connected


async def test_a_private_authority_is_trusted_when_it_is_named(server: TlsServer, tmp_path: Path) -> None:
    place = f"{HOST}:{server.port}"
    async with running_link(f"rediss://{place}?ssl_ca_certs={tmp_path}/server/ca.pem") as link:
        assert await link.ask(command("SET", "a", "1")) == b"OK"
        server.kill()
        await until(lambda: not link.connected)
        server.start()
        await until(lambda: link.connected)
        answers = await asyncio.gather(*(link.tell(command("ECHO", str(i) * 50_000)) for i in range(9)))
        assert answers == [str(i).encode() * 50_000 for i in range(9)]
    await refused(make_link(f"rediss://{place}"))
    await refused(make_link(f"redis://{place}"))
    async with running_link(f"rediss://{place}?ssl_cert_reqs=none") as link:
        assert await link.ask(command("PING")) == b"PONG"


async def test_a_certificate_for_another_host_is_refused(ca: trustme.CA, tmp_path: Path) -> None:
    with TlsServer(files(tmp_path / "server", ca, "redis.example"), tls_auth_clients="no") as server:
        url = f"rediss://{HOST}:{server.port}?ssl_ca_certs={tmp_path}/server/ca.pem"
        await refused(make_link(url))
        async with running_link(url + "&ssl_check_hostname=false") as link:
            assert await link.ask(command("PING")) == b"PONG"


async def test_a_server_that_wants_a_certificate_is_shown_one(ca: trustme.CA, tmp_path: Path) -> None:
    with TlsServer(files(tmp_path / "server", ca, HOST)) as server:
        url = f"rediss://{HOST}:{server.port}?ssl_ca_certs={tmp_path}/server/ca.pem"
        await refused(make_link(url))
        async with running_link(f"{url}&{shown(files(tmp_path / 'router', ca, 'router'))}") as link:
            assert await link.ask(command("PING")) == b"PONG"


async def test_sentinel_is_asked_over_tls_too_and_followed(ca: trustme.CA, tmp_path: Path) -> None:
    given = files(tmp_path / "server", ca, HOST)
    replication = {"tls_replication": "yes"}
    with (
        TlsServer(given, **replication) as primary,
        TlsServer(given, **replication, replicaof=f"{HOST} {primary.port}"),
    ):
        watcher = RedisServer("redis")
        (port,) = ports(1)
        tls = [f"tls-port {port}", *(f"{name.replace('_', '-')} {value}" for name, value in given.items())]
        with watcher.as_sentinel(primary.port, *tls, "tls-replication yes"):
            url = f"rediss+sentinel://{HOST}:{port}/main?ssl_ca_certs={given['tls_ca_cert_file']}&{shown(given)}"
            assert await parse_address(url).find("key") == Endpoint(HOST, primary.port)
            async with running_link(url) as link:
                with watcher.client() as client:
                    await until(lambda: len(client.sentinel_slaves("main")) == 1, 20)
                primary.kill()
                await until(lambda: link.connected and link.counters.connections.values[()] >= 2, 30)
                assert await link.tell(command("SET", "a", "2")) == b"OK"
