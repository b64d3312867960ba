"""Answers `/metrics` for all processes, in whichever process gets the request.

Each process serves its page on a private socket and leaves a copy in a file, so that a crashed process's counts stay: a
sum that shrinks would look like a reset to Prometheus. For a sibling that does not answer in time only that copy is
used; it never fails the scrape.
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
from router.processes.process_config import ProcessConfig, ended_path, page_path

ASK_S = 1.0
"""Seconds that a sibling may take: a slower one is out of CPU or stopped. Prometheus waits 10 s by default."""
log = logging.getLogger("warmroute")


class Siblings:
    """This process's part. Use as `async with`; `render` is called in a thread and gives this process's page."""

    def __init__(self, config: ProcessConfig, render: Callable[[], bytes]) -> None:
        self._config = config
        self._render = render
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        path = self._config.socket_path(self._config.number)
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
        config = self._config
        ended = [_read(ended_path(config.folder))]
        others = [number for number in range(config.count) if number != config.number]
        asked = [asyncio.create_task(self._ask(number)) for number in others]
        live = [(config.number, (await asyncio.to_thread(self._own)).decode())]
        pages = await asyncio.gather(*asked)
        for number, page in zip(others, pages, strict=True):
            if page is None:
                ended.append(_read(page_path(config.folder, number)))
            else:
                live.append((number, page))
        return (await asyncio.to_thread(merge, live, ended)).encode()

    async def _ask(self, number: int) -> str | None:
        try:
            async with asyncio.timeout(ASK_S):
                reader, writer = await asyncio.open_unix_connection(self._config.socket_path(number))
                try:
                    page = await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            log.warning("process %d does not answer with its metrics: %s", number, error or "no answer")
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
        leave(page_path(self._config.folder, self._config.number), page)
        return page


def fold(folder: Path, number: int) -> None:
    """Add an ended process's last page to the page of ended processes. The supervisor calls it before it starts another
    process under this number. Raises OSError."""
    path = page_path(folder, number)
    page = _read(path)
    if page:
        leave(ended_path(folder), merge((), [_read(ended_path(folder)), page]).encode())
        path.unlink(missing_ok=True)


def leave(path: Path, page: bytes) -> None:
    """Replace the file's content in one step, so that no process reads half a page."""
    new = path.with_suffix(f".{threading.get_ident()}")
    new.write_bytes(page)
    new.replace(path)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
