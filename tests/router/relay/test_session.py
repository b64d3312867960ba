"""A session relays both ways and ends with either side. Over real WebSockets: `http/test_realtime`."""

import asyncio

import pytest

from router.relay.session import GOING_AWAY, WORKER_DIED, RealtimeSession


class Client:
    """The client's side, by hand."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[bytes] = asyncio.Queue()
        self.got = b""
        self.closed = False
        self.ended: list[int] = []
        self.read = self.sent.get

    async def write(self, data: bytes) -> None:
        self.got += data

    def end(self, code: int) -> None:
        self.ended.append(code)


class Worker(asyncio.StreamReader):
    """The worker's side: a reader, and what was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.got = b""
        self.news = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.got += data
        self.news.set()

    async def drain(self) -> None:
        pass


def made(client: Client, worker: Worker) -> RealtimeSession:
    return RealtimeSession(client, worker, worker)  # type: ignore[arg-type]


async def test_bytes_go_both_ways_and_are_noted() -> None:
    client, worker = Client(), Worker()
    async with made(client, worker) as session:
        session.last = 0.0
        client.sent.put_nowait(b"up")
        await asyncio.wait_for(worker.news.wait(), 5)
        worker.feed_data(b"down")
        assert not await session.ended(0.01)
        assert (worker.got, client.got) == (b"up", b"down")
        assert session.last > 0
    assert (session.outcome, client.ended) == ("ok", [GOING_AWAY])


@pytest.mark.parametrize(("closed", "outcome", "code"), [(True, "ok", GOING_AWAY), (False, "worker_died", WORKER_DIED)])
async def test_a_worker_that_ends_has_died_unless_it_has_said_so(closed: bool, outcome: str, code: int) -> None:
    client, worker = Client(), Worker()
    client.closed = closed
    async with made(client, worker) as session:
        worker.feed_data(b"bye")
        worker.feed_eof()
        assert await session.ended(5)
    assert (client.got, session.outcome, client.ended) == (b"bye", outcome, [code])


async def test_a_connection_that_breaks_is_a_worker_that_died() -> None:
    client, worker = Client(), Worker()
    client.closed = True
    async with made(client, worker) as session:
        worker.set_exception(ConnectionResetError())
        assert await session.ended(5)
    assert (session.outcome, client.ended) == ("worker_died", [WORKER_DIED])
