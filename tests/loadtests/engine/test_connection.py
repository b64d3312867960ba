"""What clients may do to a connection: pipeline, upload slowly, half-close, vanish."""

import asyncio

import pytest

from tests.engines import HOST, EngineThread

BODY = b'{"model": "m", "prompt": "hello", "max_tokens": 2}'
HEAD = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
REQUEST = HEAD + b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)


async def test_pipelined_requests_are_answered_in_order(engine: EngineThread) -> None:
    reader, writer = await asyncio.open_connection(HOST, engine.port)
    writer.write(REQUEST * 3)
    answers = b""
    while answers.count(b"HTTP/1.1 200 OK") < 3:
        answers += await reader.read(65_536)
    writer.close()
    await writer.wait_closed()
    assert [entry["nth_request"] for entry in engine.requests()] == [1, 2, 3]


async def test_a_chunked_upload_is_read_whole(engine: EngineThread) -> None:
    reader, writer = await asyncio.open_connection(HOST, engine.port)
    writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    for index in range(0, len(BODY), 7):
        part = BODY[index : index + 7]
        writer.write(b"%x\r\n%s\r\n" % (len(part), part))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()
    assert engine.state()["last"]["body_bytes"] == len(BODY)


@pytest.mark.parametrize("sent", [REQUEST[:-10], HEAD])
async def test_a_client_that_leaves_while_uploading_is_no_request(engine: EngineThread, sent: bytes) -> None:
    _, writer = await asyncio.open_connection(HOST, engine.port)
    writer.write(sent)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    state = await engine.settles(running=0, waiting=0)
    assert state["requests"] == 0
    assert state["finished"] == 0


async def test_a_half_closed_client_counts_as_gone(engine: EngineThread) -> None:
    engine.fault("hang_before", count=1)
    _, writer = await asyncio.open_connection(HOST, engine.port)
    writer.write(REQUEST)
    writer.write_eof()
    await engine.settles(departures=1)
    writer.close()
    await writer.wait_closed()
