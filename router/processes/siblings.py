"""`/metrics` of all processes, whichever is asked.

Each process tells its page on a private socket and leaves a copy in a file, so that what a crashed process had counted
stays counted: a sum that shrinks would look like a reset to Prometheus. A sibling that does not answer in time is left
out but for that copy; it never fails the scrape.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from router.processes.pages import merge
from router.processes.place import Place, ended_path, page_path

ASK_S = 1.0
"""A sibling that takes longer is out of CPU or stopped. Prometheus waits 10 s by default."""
log = logging.getLogger("warmroute")


class Siblings:
    """This process's part in it. Use as `async with`; `render` is called in a thread and gives this process's page."""

    def __init__(self, place: Place, render: Callable[[], bytes]) -> None:
        self._place = place
        self._render = render
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        path = self._place.socket_path(self._place.number)
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._answer, path)
        await self._stack.enter_async_context(server)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def page(self) -> bytes:
        """The page of all processes."""
        place = self._place
        ended = [_read(ended_path(place.folder))]
        others = [number for number in range(place.count) if number != place.number]
        asked = [asyncio.create_task(self._ask(number)) for number in others]
        live = [(place.number, (await asyncio.to_thread(self._own)).decode())]
        pages = await asyncio.gather(*asked)
        for number, page in zip(others, pages, strict=True):
            if page is None:
                ended.append(_read(page_path(place.folder, number)))
            else:
                live.append((number, page))
        return (await asyncio.to_thread(merge, live, ended)).encode()

    async def _ask(self, number: int) -> str | None:
        try:
            async with asyncio.timeout(ASK_S):
                reader, writer = await asyncio.open_unix_connection(self._place.socket_path(number))
                try:
                    page = await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            log.warning("process %d does not tell its metrics: %s", number, error or "no answer")
            return None
        return page.decode() if page.endswith(b"\n") else None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(ASK_S):
                writer.write(await asyncio.to_thread(self._own))
                await writer.drain()
        writer.close()

    def _own(self) -> bytes:
        page = self._render()
        leave(page_path(self._place.folder, self._place.number), page)
        return page


def fold(folder: Path, number: int) -> None:
    """Add what an ended process had told to what ended ones counted. For the supervisor, before it starts
    another in its place. Raises OSError."""
    path = page_path(folder, number)
    page = _read(path)
    if page:
        leave(ended_path(folder), merge((), [_read(ended_path(folder)), page]).encode())
        path.unlink(missing_ok=True)


def leave(path: Path, page: bytes) -> None:
    """Replace the file's content at once: nobody reads half a page."""
    new = path.with_suffix(f".{threading.get_ident()}")
    new.write_bytes(page)
    new.replace(path)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
