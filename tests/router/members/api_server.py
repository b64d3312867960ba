"""A Kubernetes API server of our own, over real HTTP: EndpointSlices to list and to watch, and versions that expire."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit


def endpoint(address: str, uid: str = "", /, **conditions: bool | None) -> dict[str, Any]:
    return {
        "addresses": [address],
        "conditions": {"ready": True, "serving": True, "terminating": False, **conditions},
        "targetRef": {"kind": "Pod", "uid": uid} if uid else None,
        "nodeName": "n1",
    }


def slice_of(name: str, *endpoints: dict[str, Any], kind: str = "IPv4", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": labels},
        "addressType": kind,
        "endpoints": list(endpoints) or None,
        "ports": [{"name": "http", "port": 8000, "protocol": "TCP"}, {"name": "metrics", "port": 9090}],
    }


class ApiServer:
    """`put` and `delete` change slices and tell the watchers."""

    def __init__(self) -> None:
        self.token = "t1"
        self.status = 200
        """Answer everything with this status, unless it is 200."""
        self.page_size = 500
        self.version = 100
        self.oldest = 0
        """Versions before this one are gone."""
        self.slices: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[int, dict[str, Any]]] = []
        self.targets: list[str] = []
        self.watchers: set[asyncio.StreamWriter] = set()
        self._news = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def times(self, word: str) -> int:
        return sum(word in target for target in self.targets)

    async def put(self, one: dict[str, Any]) -> None:
        name = one["metadata"]["name"]
        await self.tell("MODIFIED" if name in self.slices else "ADDED", one)
        self.slices[name] = one

    async def delete(self, name: str) -> None:
        await self.tell("DELETED", self.slices.pop(name))

    async def bookmark(self) -> None:
        await self.tell("BOOKMARK", {"metadata": {}})

    async def tell(self, kind: str, one: dict[str, Any]) -> None:
        """An event, of any kind, to those who watch."""
        self.version += 1
        one["metadata"]["resourceVersion"] = str(self.version)
        self.history.append((self.version, json.loads(json.dumps({"type": kind, "object": one}))))
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def say(self, line: bytes) -> None:
        """Bytes of any kind, to those who watch now."""
        for writer in self.watchers:
            writer.write(b"%x\r\n%s\r\n" % (len(line), line))

    def hang_up(self) -> None:
        for writer in list(self.watchers):
            writer.transport.abort()
        self._wake()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ApiServer"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.hang_up()
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            target = head.split(" ", 2)[1]
            self.targets.append(target)
            query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
            assert query["labelSelector"] == "kubernetes.io/service-name=vllm"
            assert target.startswith("/apis/discovery.k8s.io/v1/namespaces/llm/endpointslices?")
            if self.status != 200 or f"authorization: bearer {self.token}".lower() not in head.lower():
                status = self.status if self.status != 200 else 401
                writer.write(b"HTTP/1.1 %d x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
            elif query.get("watch"):
                await self._watch(int(query["resourceVersion"]), writer)
            else:
                self._list(query, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _list(self, query: dict[str, str], writer: asyncio.StreamWriter) -> None:
        size, start = min(self.page_size, int(query["limit"])), int(query.get("continue", "0"))
        items = list(self.slices.values())[start : start + size]
        meta = {"resourceVersion": str(self.version)}
        if start + size < len(self.slices):
            meta["continue"] = str(start + size)
        body = json.dumps({"kind": "EndpointSliceList", "metadata": meta, "items": items}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body)

    async def _watch(self, version: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n")
        self.watchers.add(writer)
        try:
            while not writer.is_closing():
                if version < self.oldest:
                    await self.say(
                        json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410}}).encode() + b"\n"
                    )
                    return
                for at, event in self.history:
                    if at > version:
                        version = at
                        await self.say(json.dumps(event).encode() + b"\n")
                if self.version == version >= self.oldest:
                    await self._news.wait()
        finally:
            self.watchers.discard(writer)
