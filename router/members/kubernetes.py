"""Workers behind a Kubernetes Service: its EndpointSlices are listed once, then watched.

It needs `list` and `watch` on `endpointslices` in the Service's namespace, and nothing else. Token and certificate are
read from disk for each use, because the kubelet replaces them. A watch that ends continues where it stopped. When the
API has forgotten that version (410), or after any other error, everything is listed again after a growing pause.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import httpx
import msgspec

from router.dial.allow import Implied
from router.dial.service_name import ServiceName
from router.members.endpoint_slices import EndpointSlice, Event, Meta, SliceList, Status, specs_of
from router.members.source import Findings

WATCH_S = 240
"""Seconds after which the API ends a watch; a new one continues it at once."""
ANSWER_S = 10.0
MAX_LINE_BYTES = 8 << 20
PAGE = 500
MAX_PAUSE_S = 30.0
GONE = 410
NEEDED = "the service account needs list and watch on endpointslices"


class KubernetesError(Exception):
    """The API did not answer properly. The text is safe to log."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class KubernetesApi:
    """The API's URL, and the credentials for it."""

    url: str
    credentials: Path
    """The folder that is mounted into every Pod: `token`, `ca.crt`, `namespace`."""

    def client(self) -> httpx.AsyncClient:
        """An HTTP client with the current certificates. OSError when they cannot be read."""
        secure = self.url.startswith("https")
        verify = ssl.create_default_context(cafile=str(self.credentials / "ca.crt")) if secure else False
        timeout = httpx.Timeout(ANSWER_S, read=WATCH_S + ANSWER_S)
        return httpx.AsyncClient(base_url=self.url, verify=verify, timeout=timeout, trust_env=False)

    def headers(self) -> dict[str, str]:
        """Request headers with the current token. OSError when it cannot be read. Over plain HTTP there may be none:
        `kubectl proxy` adds its own."""
        accept, token = {"accept": "application/json"}, self.credentials / "token"
        if not self.url.startswith("https") and not token.exists():
            return accept
        return {**accept, "authorization": f"Bearer {token.read_text(encoding='ascii').strip()}"}

    def namespace(self) -> str:
        """The Pod's namespace. OSError when it cannot be read."""
        return (self.credentials / "namespace").read_text(encoding="ascii").strip()


class KubernetesSource:
    """The EndpointSlices of one Service."""

    def __init__(self, service: ServiceName, api: KubernetesApi, rng: Random, pause_s: float) -> None:
        self._service = service
        self._api = api
        self._rng = rng
        self._pause_s = pause_s
        namespace = f"{service.namespace}/" if service.namespace else ""
        self.name = f"kubernetes:{namespace}{service.name}"
        self.implied: Implied | None = Implied(service.scheme, service.port_number)
        self._slices: dict[str, EndpointSlice] = {}

    async def run(self, findings: Findings) -> None:
        """List and watch for ever."""
        failures = 0
        while True:
            try:
                async with self._api.client() as client:
                    version = await self._list(client, findings)
                    failures = 0
                    while True:
                        version = await self._watch(client, version, findings)
            except KubernetesError as error:
                failures += 1
                if error.status != GONE:
                    findings.failed(str(error))
            except (OSError, httpx.HTTPError, ssl.SSLError, UnicodeError) as error:
                failures += 1
                findings.failed(f"no answer ({type(error).__name__})")
            except msgspec.MsgspecError as error:
                failures += 1
                findings.failed(f"an answer that cannot be read: {error}"[:200])
            pause_s = min(MAX_PAUSE_S, self._pause_s * 2 ** min(failures - 1, 10))
            await asyncio.sleep(pause_s * self._rng.uniform(0.5, 1.0))

    async def _list(self, client: httpx.AsyncClient, findings: Findings) -> str:
        """List all slices. Returns the version to watch from."""
        slices: dict[str, EndpointSlice] = {}
        more: str | None = ""
        page = SliceList(Meta(), [])
        while more is not None:
            async with self._ask(client, {"limit": str(PAGE), **({"continue": more} if more else {})}) as answer:
                page = msgspec.json.decode(await answer.aread(), type=SliceList)
            slices.update({one.metadata.name: one for one in page.items})
            more = page.metadata.more or None
        self._slices = slices
        findings.found(specs_of(slices.values(), self._service))
        return page.metadata.resource_version

    async def _watch(self, client: httpx.AsyncClient, version: str, findings: Findings) -> str:
        """Follow the changes until the API ends the watch. Returns the version to continue from."""
        wanted = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_S)}
        async with self._ask(client, {**wanted, "resourceVersion": version}) as answer:
            findings.unchanged()
            async for line in _lines(answer):
                event = msgspec.json.decode(line, type=Event)
                if event.type == "ERROR":
                    code = msgspec.json.decode(event.object, type=Status).code
                    raise KubernetesError(f"the watch was ended with {code}", code)
                changed = msgspec.json.decode(event.object, type=EndpointSlice)
                version = changed.metadata.resource_version or version
                if self._take(event.type, changed):
                    findings.found(specs_of(self._slices.values(), self._service))
                else:
                    findings.unchanged()
        return version

    def _take(self, kind: str, changed: EndpointSlice) -> bool:
        if kind == "BOOKMARK":
            return False
        if kind == "DELETED":
            self._slices.pop(changed.metadata.name, None)
        else:
            self._slices[changed.metadata.name] = changed
        return True

    @asynccontextmanager
    async def _ask(self, client: httpx.AsyncClient, params: dict[str, str]) -> AsyncIterator[httpx.Response]:
        """The answer to a request for the slices, with its status checked. Raises KubernetesError."""
        namespace = self._service.namespace or self._api.namespace()
        path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        selector = {"labelSelector": f"kubernetes.io/service-name={self._service.name}"}
        request = client.build_request("GET", path, params={**selector, **params}, headers=self._api.headers())
        answer = await client.send(request, stream=True)
        try:
            status = answer.status_code
            if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
                raise KubernetesError(f"HTTP {status}: {NEEDED} in namespace {namespace}", status)
            if status != httpx.codes.OK:
                raise KubernetesError(f"HTTP {status}", status)
            yield answer
        finally:
            await answer.aclose()


async def _lines(answer: httpx.Response) -> AsyncIterator[bytes]:
    """The lines of an answer without end. Raises KubernetesError for a line without end."""
    rest = bytearray()
    async for chunk in answer.aiter_bytes():
        rest += chunk
        *whole, tail = rest.split(b"\n")
        rest = bytearray(tail)
        for line in whole:
            if line.strip():
                yield bytes(line)
        if len(rest) > MAX_LINE_BYTES:
            raise KubernetesError("an event without end")
