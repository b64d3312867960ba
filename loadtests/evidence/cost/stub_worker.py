"""A worker that costs next to nothing: it answers as vLLM does, with canned tokens, on many ports of one process.

It must stay cheap (raw protocol on uvloop, no parsing of bodies), or the benchmark measures the stub. It says that the
whole prompt was cached, so that no router is taught that its prediction was too high.
"""

import argparse
import asyncio
import json
import signal
from functools import partial
from typing import NamedTuple, cast

import httptools
import uvloop

MODEL = "stub-model"
BLOCK_TOKENS = 16
KV_BLOCKS = 1_000_000
"""Blocks of each worker's pool."""
_BYTES_PER_TOKEN = 2
"""Fewer bytes than any tokenizer needs on this text: the stub's token counts are never below a router's prediction."""
_WORDS = ("The", " next", " step", " is", " to", " read", " the", " failing", " test", " again", ".")


class Pace(NamedTuple):
    """How a streamed answer is written."""

    chunks: int
    interval_s: float
    """Time between two chunks; 0 writes one chunk in each turn of the event loop."""


class Worker:
    """One port's worth of state: what it has served, and what it says of itself."""

    def __init__(self, port: int, fleet: "list[Worker]", pace: Pace, kv_blocks: int = KV_BLOCKS) -> None:
        self.port = port
        self.kv_blocks = kv_blocks
        self.fleet = fleet
        self.pace = pace
        self.asked = 0
        self.served = 0
        self.in_flight = 0

    def page(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body of a GET."""
        if path in ("/health", "/ready", "/ping", "/health_generate"):
            return 200, "application/json", b""
        if path == "/metrics":
            return 200, "text/plain; version=0.0.4", self._metrics().encode()
        if path == "/counts":
            counts = {str(worker.port): [worker.asked, worker.served] for worker in self.fleet}
            return 200, "application/json", json.dumps(counts).encode()
        document = _DOCUMENTS.get(path)
        if document is None:
            return 404, "application/json", b'{"detail":"Not Found"}'
        return 200, "application/json", document

    def _metrics(self) -> str:
        label = f'{{engine="0",model_name="{MODEL}"}}'
        return (
            f"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{label} {self.in_flight}\n"
            f"# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting{label} 0\n"
            f"# TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc{label} 0.1\n"
            f"# TYPE vllm:cache_config_info gauge\n"
            f'vllm:cache_config_info{{engine="0",block_size="{BLOCK_TOKENS}",num_gpu_blocks="{self.kv_blocks}",'
            f'enable_prefix_caching="True"}} 1\n'
            f"# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1700000000\n"
        )


_DOCUMENTS = {
    "/v1/models": json.dumps(
        {
            "object": "list",
            "data": [
                {"id": MODEL, "object": "model", "created": 1, "owned_by": "vllm", "root": MODEL, "parent": None}
                | {"max_model_len": 1_000_000}
            ],
        }
    ).encode(),
    "/version": b'{"version":"0.30.0"}',
    "/get_model_info": json.dumps({"model_path": MODEL, "tokenizer_path": MODEL, "is_generation": True}).encode(),
}
_REASONS = {200: b"OK", 404: b"Not Found"}
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nserver: stub\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def plain(status: int, content_type: str, body: bytes) -> bytes:
    """A whole HTTP response with a content length."""
    head = b"HTTP/1.1 %d %s\r\nserver: stub\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n"
    return head % (status, _REASONS[status], content_type.encode(), len(body)) + body


def usage(body_bytes: int, completion_tokens: int) -> bytes:
    """The usage object of a prompt of `body_bytes`, all of it cached but what never can be."""
    tokens = body_bytes // _BYTES_PER_TOKEN + 2
    cached = (tokens - 1) // BLOCK_TOKENS * BLOCK_TOKENS
    return (
        b'{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}'
    ) % (tokens, tokens + completion_tokens, completion_tokens, cached)


def completion(body_bytes: int) -> bytes:
    """A chat completion that is not streamed, of about 400 bytes."""
    body = (
        b'{"id":"chatcmpl-0123456789abcdef","object":"chat.completion","created":1700000000,"model":"%s","choices":[{"index":0,'
        b'"message":{"role":"assistant","content":"The next step is to read the test."},"logprobs":null,'
        b'"finish_reason":"stop"}],"usage":%s}'
    ) % (MODEL.encode(), usage(body_bytes, 8))
    return plain(200, "application/json", body)


def sse(payload: bytes) -> bytes:
    """One server-sent event as one HTTP chunk."""
    frame = b"data: " + payload + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(frame), frame)


def stream_chunks(body_bytes: int, chunks: int) -> list[bytes]:
    """The events of a streamed answer: `chunks` of them; usage and `[DONE]` are in the last write."""
    template = (
        '{"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1700000000,"model":"%s",'
        '"choices":[%s],"usage":%s}'
    )
    delta = '{"index":0,"delta":{"content":"%s"},"logprobs":null,"finish_reason":null}'
    events = [
        sse((template % (MODEL, delta % _WORDS[index % len(_WORDS)], "null")).encode()) for index in range(chunks)
    ]
    end = sse((template % (MODEL, "", usage(body_bytes, chunks).decode())).encode()) + sse(b"[DONE]") + b"0\r\n\r\n"
    events[-1] += end
    return events


class Connection(asyncio.Protocol):
    """One HTTP/1.1 keep-alive connection to a worker."""

    def __init__(self, worker: Worker, loop: asyncio.AbstractEventLoop) -> None:
        self._worker = worker
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._path = ""
        self._body: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class, not a subclass

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:  # some routers first try HTTP/2
            if self._transport is not None:
                self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._path = url.decode("latin-1")
        self._body.clear()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._worker.asked += 1
        if self._parser.get_method() != b"POST":
            self._write(plain(*self._worker.page(self._path.partition("?")[0])))
            return
        body = b"".join(self._body)
        self._worker.served += 1
        if b'"stream":true' not in body and b'"stream": true' not in body:
            self._write(completion(len(body)))
            return
        self._worker.in_flight += 1
        self._write(_STREAM_HEAD)
        self._stream(stream_chunks(len(body), self._worker.pace.chunks), 0)

    def _stream(self, events: list[bytes], index: int) -> None:
        self._write(events[index])
        if index + 1 == len(events):
            self._worker.in_flight -= 1
        elif self._worker.pace.interval_s:
            self._loop.call_later(self._worker.pace.interval_s, self._stream, events, index + 1)
        else:
            self._loop.call_soon(self._stream, events, index + 1)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


async def serve(host: str, first_port: int, workers: int, pace: Pace, kv_blocks: int = KV_BLOCKS) -> None:
    """Serve `workers` consecutive ports until SIGTERM; prints `ready` when all of them listen."""
    loop = asyncio.get_running_loop()
    fleet: list[Worker] = []
    fleet.extend(Worker(first_port + offset, fleet, pace, kv_blocks) for offset in range(workers))
    for worker in fleet:
        await loop.create_server(partial(Connection, worker, loop), host, worker.port, backlog=64)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)
    await stop.wait()


def main() -> None:
    """Command line of the stub worker process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--first-port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--kv-blocks", type=int, default=KV_BLOCKS, help="KV blocks that each worker says it has")
    parser.add_argument("--chunks", type=int, default=32)
    parser.add_argument("--interval-ms", type=float, default=0.0)
    args = parser.parse_args()
    pace = Pace(args.chunks, args.interval_ms / 1000)
    uvloop.run(serve(args.host, args.first_port, args.workers, pace, args.kv_blocks))


if __name__ == "__main__":
    main()
