"""A worker's control endpoints on a real socket, answering as a test says, and the answers of the two engines.

Texts follow vLLM 0.32 and SGLang 0.5.23, with the many metrics that nobody wants cut down to a few.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Self

import httpx

from loadtests.ports import ports
from router.engines import control_client


@dataclass
class Answer:
    """One HTTP answer, right or wrong."""

    body: bytes | str = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    declared_bytes: int | None = None
    """A content-length that lies."""
    hang: bool = False
    """Nothing at all is sent."""
    drip_s: float = 0.0
    """Pause between two bytes of the body."""

    def raw(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else self.body


def as_json(value: object) -> Answer:
    return Answer(json.dumps(value), headers={"content-type": "application/json"})


class FakeWorker:
    """Serves `routes` (by path, without the query); all else is 404. `stop` and `start` keep the port."""

    def __init__(self, routes: dict[str, Answer]) -> None:
        self.routes = routes
        self.asked: list[str] = []
        self.authorizations: set[str] = set()
        self.sent: list[tuple[str, bytes]] = []
        """Bodies that came, by path."""
        self._news = asyncio.Event()
        (self._port,) = ports(1)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    def times(self, path: str) -> int:
        """How often this path was asked for."""
        return sum(target.partition("?")[0] == path for target in self.asked)

    async def heard(self, path: str, times: int = 1) -> None:
        """Wait until it was asked for so often; for 5 s at most."""
        async with asyncio.timeout(5):
            while self.times(path) < times:
                self._news.clear()
                await self._news.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            target = head.split(" ", 2)[1]
            self.asked.append(target)
            self._news.set()
            for line in head.split("\r\n"):
                name, _, value = line.partition(":")
                if name.lower() == "authorization":
                    self.authorizations.add(value.strip())
                elif name.lower() == "content-length":
                    await self._read_body(target, int(value), reader)
            await self._answer(self.routes.get(target.partition("?")[0], Answer("no such path", 404)), reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _read_body(self, target: str, length: int, reader: asyncio.StreamReader) -> None:
        self.sent.append((target, await reader.readexactly(length)))

    async def _answer(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer.hang:
            await reader.read()
            return
        if writer.is_closing():
            return
        body = answer.raw()
        length = len(body) if answer.declared_bytes is None else answer.declared_bytes
        head = f"HTTP/1.1 {answer.status} Whatever\r\ncontent-length: {length}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        writer.write(head.encode() + b"\r\n")
        if not answer.drip_s:
            writer.write(body)
        else:
            for byte in body:
                if writer.is_closing():
                    return
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(answer.drip_s)
        await writer.drain()


def client(timeout_s: float = 5.0) -> httpx.AsyncClient:
    """As the router makes it; plain HTTP needs no certificates."""
    return control_client(timeout_s)


VLLM_CONFIG = (
    'vllm:cache_config_info{{block_size="16",cache_hit_alignment_tokens="{align}",effective_attention_block_size="16",'
    'enable_prefix_caching="{caching}",engine="{rank}",gpu_memory_utilization="0.92",hash_block_size="None",'
    'kv_cache_layout="None",kv_cache_size_tokens="{capacity}",num_gpu_blocks="1000"}} 1.0\n'
)


def vllm_metrics(  # noqa: PLR0913 - one knob per figure that some test turns
    *,
    start: str | None = "1.79540220431e+09",
    running: int = 3,
    waiting: int = 2,
    prompt_tokens: int = 6984,
    ranks: int = 1,
    align: str = "None",
    capacity: str = "16064",
    caching: str = "True",
) -> Answer:
    """A vLLM's /metrics; every rank shows the same."""
    lines = [f"# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {start}\n"] if start else []
    for rank in range(ranks):
        labels = f'{{engine="{rank}",model_name="qwen/\\"3\\""}}'
        lines.append(VLLM_CONFIG.format(align=align, rank=rank, capacity=capacity, caching=caching))
        lines.append(
            f"# HELP vllm:num_requests_running Number of requests in model execution batches.\n"
            f"vllm:num_requests_running{labels} {running}.0\n"
            f"vllm:num_requests_waiting{labels} {waiting}.0\n"
            f'vllm:num_requests_waiting_by_reason{{engine="{rank}",reason="capacity"}} {waiting}.0\n'
            f"vllm:kv_cache_usage_perc{labels} 0.25\n"
            f"vllm:prompt_tokens_total{labels} {prompt_tokens}.0\n"
            f"vllm:prefix_cache_hits_total{labels} 3456.0\n"
            f"vllm:generation_tokens_total{labels} 8.0\n"
            f'vllm:request_prefill_time_seconds_bucket{{engine="{rank}",le="0.3"}} 1.0\n'
            f"vllm:request_prefill_time_seconds_sum{labels} 0.4206573760000083\n"
            f"vllm:request_prefill_kv_computed_tokens_sum{labels} 3528.0\n"
        )
    return Answer("".join(lines))


def models(*ids: str, owner: str = "vllm", **adapters: str) -> Answer:
    """`/v1/models`: base models, and adapters as name=parent."""
    cards: list[dict[str, object]] = [
        {
            "id": name,
            "object": "model",
            "owned_by": owner,
            "root": f"org/{name}",
            "parent": None,
            "max_model_len": 32768,
        }
        for name in ids
    ]
    cards += [
        {"id": name, "owned_by": owner, "root": f"/loras/{name}", "parent": parent, "max_model_len": None}
        for name, parent in adapters.items()
    ]
    return as_json({"object": "list", "data": cards})


def vllm(metrics: Answer | None = None) -> dict[str, Answer]:
    """A vLLM's routes."""
    page = metrics or vllm_metrics()
    return {
        "/v1/models": models("qwen3"),
        "/version": as_json({"version": "0.32.0"}),
        "/health": Answer(),
        "/metrics": page,
        "/metrics/": page,
    }


SGLANG_INFO: dict[str, object] = {
    "version": "0.5.23",
    "model_path": "Qwen/Qwen3-8B",
    "page_size": 16,
    "dcp_size": 1,
    "dp_size": 2,
    "max_total_num_tokens": 400_000,
    "disable_radix_cache": False,
    "disaggregation_mode": "null",
    "enable_metrics": False,
    "startup_time": {"load_weight": 12.345678, "scheduler_e2e": 31.42, "cuda_graph": {"decode": 4.2}},
    "internal_states": [{"last_gen_throughput": 12.5}],
}


def sglang_rank(**changed: object) -> dict[str, object]:
    """One rank's entry of /v1/loads."""
    return {
        "dp_rank": 0,
        "num_running_reqs": 4,
        "num_waiting_reqs": 1,
        "token_usage": 0.5,
        "total_prefill_uncached_tokens": 90_000,
        "total_prefill_busy_us": 2_500_000,
        "max_total_num_tokens": 400_000,
        **changed,
    }


def sglang(**info: object) -> dict[str, Answer]:
    """An SGLang's routes, with two DP ranks; `info` changes its /server_info."""
    ranks = [sglang_rank(), sglang_rank(dp_rank=1, num_running_reqs=6, token_usage=0.3)]
    return {
        "/v1/models": models("Qwen/Qwen3-8B", owner="sglang"),
        "/server_info": as_json({**SGLANG_INFO, **info}),
        "/ready": Answer(),
        "/v1/loads": as_json({"timestamp": "2026-11-22T00:00:00+00:00", "version": "0.5.23", "loads": ranks}),
    }
