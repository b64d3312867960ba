"""Damaged requests by the hundred: whatever bytes come, no 5xx, no hang, nothing left behind."""

import asyncio
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.router.http.raw import Wire, post, wire
from tests.router.http.site import CHAT, GOOD, HANG_S, Site, read_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
MANY = settings(max_examples=200, deadline=None)
LEAVES_AFTER_S = 0.02
"""What is not answered by then waits for bytes that will not come: the client gives up."""
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
NEVER = {status for status in range(500, 600) if status != 501}
"""501 is the answer to a WebSocket upgrade."""

ODD_BYTES = st.sampled_from([b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b":", b"\xff", b"%", b"0\r\n\r\n", b"*"])
ODD_JSON = st.sampled_from(
    [b"NaN", b"\\ud800", b"null", b"[", b"]", b"{", b"}", b'"', b",", b":", b"-1", b"1e999", b"\\", b"\xed\xa0\x80"]
)
WHOLE = [
    *(post(path, body) for path, body in GOOD.items()),
    post("/v1/embeddings", {"model": "m", "input": "x"}),
    post(CHAT, GOOD[CHAT], "expect: 100-continue", "connection: keep-alive", "x-request-id: r"),
    b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n",
    b"POST %s HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-t: 1\r\n\r\n" % CHAT.encode(),
    post(CHAT, GOOD[CHAT], "connection: upgrade", "upgrade: h2c"),
    post(CHAT, GOOD[CHAT]) * 2,
]


@st.composite
def damaged(draw: st.DrawFn, whole: list[bytes], odd: st.SearchStrategy[bytes]) -> bytes:
    """One of `whole` with up to six bytes flipped, stretches cut out, doubled, or odd things put in."""
    data = bytearray(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        end = at + draw(st.integers(1, 20))
        match draw(st.sampled_from(["flip", "cut", "double", "put", "end"])):
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[at:end]
            case "double":
                data[at:at] = data[at:end]
            case "put":
                data[at:at] = draw(odd)
            case "end":
                del data[at:]
    return bytes(data)


async def _until_answered(client: Wire) -> bytes:
    try:
        async with asyncio.timeout(LEAVES_AFTER_S):
            return await client.reader.read(65536)
    except TimeoutError:
        client.writer.write_eof()
        return b""


@MANY
@given(data=damaged(WHOLE, ODD_BYTES))
async def test_damaged_http(site: Site, data: bytes) -> None:
    async with wire(site.router.port) as client:
        await client.send(data)
        said = await _until_answered(client)
        if not said:
            async with asyncio.timeout(HANG_S):
                said = await client.reader.read(65536)
        assert not NEVER.intersection(int(status) for status in STATUS.findall(said)), said
    await site.unharmed()


@MANY
@given(
    path=st.sampled_from(sorted(GOOD)),
    body=damaged([json.dumps(body).encode() for body in GOOD.values()], ODD_JSON),
)
async def test_damaged_json(site: Site, path: str, body: bytes) -> None:
    async with wire(site.router.port) as client:
        await client.send(post(path, body))
        answer = await read_answer(client)
        assert answer.status not in NEVER, answer.body
        assert answer.status == 200 or json.loads(answer.body)["error"]["message"]
    await site.unharmed()
