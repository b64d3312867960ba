"""TLS on both sides, with certificates made here."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from websockets.asyncio.client import connect

from router.dial.certificates import KeyPair, Renewal
from tests.router.fake_worker import FakeWorker, models, vllm
from tests.router.http.realtime_worker import RealtimeWorker
from tests.router.http.scripted_worker import STREAM_HEAD, chunk
from tests.router.http.site import CHAT
from tests.routers import MODEL, RunningRouter, chat, running_router

DONE = b'data: {"choices": []}\n\ndata: [DONE]\n\n'


@dataclass(frozen=True, slots=True)
class Files:
    """An authority and what it has signed, as PEM files."""

    ca: str
    certificate: str
    key: str

    @property
    def pair(self) -> KeyPair:
        return KeyPair(self.certificate, self.key)


def issue(folder: Path, ca: trustme.CA, *names: str) -> Files:
    """Certificate, key and authority in this folder."""
    issued = ca.issue_cert(*names)
    folder.mkdir(exist_ok=True)
    paths = [str(folder / name) for name in ("ca.pem", "cert.pem", "key.pem")]
    ca.cert_pem.write_to_path(paths[0])
    Path(paths[1]).write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(paths[2])
    return Files(*paths)


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


class TlsWorker(FakeWorker):
    """A vLLM over https, which may ask for a certificate and streams one answer to every chat."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__({**vllm(), "/v1/models": models(MODEL)})
        self._context = context

    @property
    def url(self) -> str:
        return super().url.replace("http:", "https:")

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, ssl=self._context)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _answer(self, answer: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.asked[-1] == CHAT:
            writer.write(STREAM_HEAD + chunk(DONE) + chunk(b""))
            await writer.drain()
        else:
            await super()._answer(answer, reader, writer)


def serving(files: Files, clients: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients or None)
    context.load_cert_chain(files.certificate, files.key)
    context.verify_mode = ssl.CERT_REQUIRED if clients else ssl.CERT_NONE
    return context


@asynccontextmanager
async def client_of(router: RunningRouter, ca: str, shown: Files | None = None) -> AsyncIterator[httpx.AsyncClient]:
    context = ssl.create_default_context(cafile=ca)
    if shown is not None:
        context.load_cert_chain(shown.certificate, shown.key)
    async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{router.port}", verify=context, timeout=10) as client:
        yield client


async def until_healthy(router: RunningRouter) -> None:
    async with asyncio.timeout(10):
        while not all(worker.available() for worker in router.parts.fleet.workers.values()):
            await asyncio.sleep(0.01)


async def test_https_on_both_sides_with_certificates_on_both(ca: trustme.CA, tmp_path: Path) -> None:
    ours, theirs = issue(tmp_path / "router", ca, "127.0.0.1"), issue(tmp_path / "worker", ca, "127.0.0.1")
    someone = issue(tmp_path / "client", ca, "team-a")
    settings: dict[str, Any] = {
        "tls_certificate": ours.certificate, "tls_key": ours.key, "tls_client_ca": ours.ca,
        "worker_ca": theirs.ca, "worker_tls_certificate": ours.certificate, "worker_tls_key": ours.key,
    }  # fmt: skip
    async with (
        TlsWorker(serving(theirs, clients=theirs.ca)) as worker,
        running_router(worker.url, **settings) as router,
    ):
        async with client_of(router, ours.ca, someone) as client:
            answer = await client.post(CHAT, json=chat(stream=True))
            assert (answer.status_code, answer.content) == (200, DONE)
        with pytest.raises(httpx.TransportError):
            async with client_of(router, ours.ca) as stranger:
                await stranger.get("/health")
        with pytest.raises(httpx.TransportError):
            async with client_of(router, ours.ca, issue(tmp_path / "x", trustme.CA(), "team-a")) as forger:
                await forger.get("/health")


async def test_client_certificates_may_be_optional_but_not_forged(ca: trustme.CA, tmp_path: Path) -> None:
    ours = issue(tmp_path / "router", ca, "127.0.0.1")
    settings: dict[str, Any] = {
        "tls_certificate": ours.certificate, "tls_key": ours.key, "tls_client_ca": ours.ca, "tls_client_optional": True,
    }  # fmt: skip
    async with running_router("http://127.0.0.1:1", ready=False, **settings) as router:
        async with client_of(router, ours.ca) as client:
            assert (await client.get("/health")).status_code == 200
        with pytest.raises(httpx.TransportError):
            async with client_of(router, ours.ca, issue(tmp_path / "x", trustme.CA(), "team-a")) as forger:
                await forger.get("/health")


@pytest.mark.parametrize("what", ["another authority", "another name"])
async def test_a_worker_with_a_wrong_certificate_gets_nothing(ca: trustme.CA, tmp_path: Path, what: str) -> None:
    theirs = issue(tmp_path / "worker", ca, "127.0.0.1" if what == "another authority" else "127.0.0.9")
    other = issue(tmp_path / "other", trustme.CA(), "x")
    trusted = other.ca if what == "another authority" else theirs.ca
    async with (
        TlsWorker(serving(theirs)) as worker,
        running_router(worker.url, ready=False, worker_ca=trusted) as router,
    ):
        async with asyncio.timeout(5):
            found = next(iter(router.parts.fleet.workers.values()))
            while found.reason == "not probed yet":
                await asyncio.sleep(0.01)
        assert (await router.client.post(CHAT, json=chat())).status_code == 503
        assert worker.asked == []


async def test_workers_found_by_address_are_checked_by_name(ca: trustme.CA, tmp_path: Path) -> None:
    theirs = issue(tmp_path / "worker", ca, "vllm.internal")
    settings: dict[str, Any] = {"worker_ca": theirs.ca, "worker_tls_name": "vllm.internal"}
    async with TlsWorker(serving(theirs)) as worker, running_router(worker.url, **settings) as router:
        assert (await router.client.post(CHAT, json=chat(stream=True))).content == DONE


async def test_a_websocket_over_tls(ca: trustme.CA, tmp_path: Path) -> None:
    ours = issue(tmp_path / "router", ca, "127.0.0.1")
    settings: dict[str, Any] = {"tls_certificate": ours.certificate, "tls_key": ours.key}
    async with RealtimeWorker().serving() as worker, running_router(worker.url, **settings) as router:
        context = ssl.create_default_context(cafile=ours.ca)
        url = f"wss://127.0.0.1:{router.port}/v1/realtime?model={MODEL}"
        async with connect(url, ssl=context, proxy=None) as client:
            await client.send("hello")
            assert await client.recv() == "hello"
        await router.settles()


async def test_a_renewed_certificate_is_shown_and_open_connections_stay(ca: trustme.CA, tmp_path: Path) -> None:
    ours = issue(tmp_path / "router", ca, "127.0.0.1")
    newer = trustme.CA()
    settings: dict[str, Any] = {"tls_certificate": ours.certificate, "tls_key": ours.key}
    async with running_router("http://127.0.0.1:1", ready=False, **settings) as router:
        async with client_of(router, ours.ca) as old:
            assert (await old.get("/health")).status_code == 200
            newer.issue_cert("x").private_key_pem.write_to_path(ours.key)  # half of a renewal
            router.parts.renewal.look()
            async with client_of(router, ours.ca) as client:
                assert (await client.get("/health")).status_code == 200
            renewed = issue(tmp_path / "router", newer, "127.0.0.1")
            router.parts.renewal.look()
            assert (await old.get("/health")).status_code == 200
            async with client_of(router, renewed.ca) as client:
                assert (await client.get("/health")).status_code == 200
        assert (router.parts.renewal.failed, router.parts.renewal.renewed) == (1, 1)


async def test_new_authorities_are_trusted_on_both_sides(ca: trustme.CA, tmp_path: Path) -> None:
    newer = trustme.CA()
    ours, theirs = issue(tmp_path / "router", ca, "127.0.0.1"), issue(tmp_path / "worker", newer, "127.0.0.1")
    someone = issue(tmp_path / "client", newer, "team-a")
    clients, workers = (issue(tmp_path / name, ca, "x").ca for name in ("clients", "workers"))
    settings: dict[str, Any] = {
        "tls_certificate": ours.certificate, "tls_key": ours.key, "tls_client_ca": clients, "worker_ca": workers,
    }  # fmt: skip
    async with TlsWorker(serving(theirs)) as worker, running_router(worker.url, ready=False, **settings) as router:
        for path in (clients, workers):
            trustme.Blob(b"no certificate").write_to_path(path)
        router.parts.renewal.look()
        with pytest.raises(httpx.TransportError):
            async with client_of(router, ours.ca, someone) as client:
                await client.get("/health")
        for path in (clients, workers):
            newer.cert_pem.write_to_path(path)
        router.parts.renewal.look()
        await until_healthy(router)
        async with client_of(router, ours.ca, someone) as client:
            assert (await client.post(CHAT, json=chat(stream=True))).content == DONE
        assert (router.parts.renewal.failed, router.parts.renewal.renewed) == (2, 2)


def test_one_pair_for_both_sides_is_renewed_on_both(ca: trustme.CA, tmp_path: Path) -> None:
    files = issue(tmp_path / "both", ca, "127.0.0.1")
    renewal = Renewal()
    for _ in range(2):
        renewal.watch(serving(files), files.pair)
    issue(tmp_path / "both", trustme.CA(), "127.0.0.1")
    renewal.look()
    assert renewal.renewed == 2


def test_nothing_is_watched_where_there_is_no_certificate() -> None:
    renewal = Renewal()
    renewal.watch(None, KeyPair("", ""))
    renewal.look()
    assert (renewal.failed, renewal.renewed) == (0, 0)
