"""What a worker says of itself is hostile input: a value within bounds, or one error, and nothing else comes of it."""

import asyncio
import json
import math
import time
from contextlib import suppress
from typing import Any

import httpx
import pytest

from router.engines import Facts, Load, WorkerAnswerError, detect
from router.engines.answers import MAX_MODEL_LEN, MAX_MODELS, MAX_NAME_CHARS, MAX_PATH_CHARS
from router.engines.metrics import MAX_BLOCK_TOKENS, MAX_KV_TOKENS, MAX_RANKS, MAX_VALUE
from router.engines.prometheus_text import MAX_SAMPLES
from tests.router.fake_worker import SGLANG_INFO, Answer, FakeWorker, as_json, client, models, sglang, sglang_rank, vllm

pytestmark = pytest.mark.alone

DEEP = b"[" * 100_000
NUMBERS = [
    "-1",
    "0",
    "1e308",
    "-1e308",
    "1e400",
    "1" + "0" * 300,
    "NaN",
    "Infinity",
    "true",
    "null",
    '"x"',
    "1.5",
    "[]",
]
NAMES = [b"", b"a\\nb", b"\\u0000", b"\\u202e", b"\\ud800", b"x" * 300, b"x" * 1_000_000, b"\xff", b"a\x1b[2J"]
PAGE = 'vllm:num_requests_running{engine="0"} 1\n'


def info(**raw: bytes) -> Answer:
    """/server_info with some fields as they are written."""
    said = {name: json.dumps(value).encode() for name, value in SGLANG_INFO.items()} | raw
    return Answer(b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), value) for name, value in said.items()))


def card(**raw: bytes) -> Answer:
    said = {"id": b'"m"', "owned_by": b'"vllm"', "root": b'"r"', "max_model_len": b"9"} | raw
    return Answer(b'{"data":[{%b}]}' % b",".join(b'"%b":%b' % (name.encode(), value) for name, value in said.items()))


def config(**labels: object) -> Answer:
    said = ",".join(f'{name}="{value}"' for name, value in {"engine": 0, "block_size": 16, **labels}.items())
    return Answer(f"{PAGE}vllm:cache_config_info{{{said}}} 1\n")


MODELS = [
    *(card(id=b'"%b"' % name) for name in NAMES),
    *(card(root=b'"%b"' % name) for name in NAMES),
    *(card(parent=b'"%b"' % name) for name in NAMES),
    *(card(owned_by=b'"%b"' % name) for name in NAMES),
    *(card(max_model_len=number.encode()) for number in NUMBERS),
    *(models(*(f"m{number}" for number in range(count))) for count in (0, MAX_MODELS + 1)),
    *(Answer(body) for body in (b'{"data":[0]}', b'{"data":{}}', b'{"data":' + DEEP, b"[]", b"\xff" * 9, b"{" * 9)),
    Answer(b'{"data":[{"id":"m","x":' + DEEP + b"]" * 100_000 + b"}]}"),
    Answer(b'{"data":[' + b'{"id":"a"},' * 100_000 + b'{"id":"a"}]}'),
]
PAGES = [
    *(config(block_size=size) for size in (0, -1, 10**9, 10**17, "1e3", "x" * 9000, "\xb2")),
    *(config(num_gpu_blocks=blocks) for blocks in (0, -1, 10**17, "9" * 30)),
    *(config(kv_cache_size_tokens=tokens) for tokens in (-1, 10**17, "NaN")),
    *(
        Answer(f"{PAGE}vllm:{name} {number}\n" * 2)
        for name in ("num_requests_running", "kv_cache_usage_perc")
        for number in ("NaN", "+Inf", "-Inf", "-1", "1e308", "1e400", "9" * 400)
    ),
    *(Answer(f"{PAGE}vllm:prompt_tokens_total {number}\n" * 2) for number in ("NaN", "+Inf", "-5", "1e308")),
    *(Answer(f"{PAGE}process_start_time_seconds {number}\n") for number in ("NaN", "+Inf", "-5", "1e308")),
    Answer("".join(f'{PAGE}vllm:cache_config_info{{engine="{n}",block_size="16"}} 1\n' for n in range(MAX_RANKS + 9))),
    Answer(PAGE * (2 * MAX_SAMPLES)),
    Answer(PAGE + 'vllm:num_requests_running{a="' + "\\\\" * 1_000_000),
    Answer(PAGE.encode() + b"\xff\xfe" * 1000 + b"\0" * 1000),
    Answer(PAGE + "\n" * 4_000_000),
]
INFOS = [
    *(
        info(**{name: number.encode()})
        for name in ("page_size", "dcp_size", "dp_size", "max_total_num_tokens")
        for number in NUMBERS
    ),
    *(info(**{name: b'"%b"' % text}) for name in ("version", "disaggregation_mode", "model_path") for text in NAMES),
    *(
        info(**{name: deep})
        for name in ("default_chat_template_kwargs", "reasoning_parser", "chat_template")
        for deep in (b"[" * 900 + b"]" * 900, b'{"a":' * 900 + b"1" + b"}" * 900, b'{"a":"%b"}' % (b"x" * 100_000))
    ),
    info(startup_time=b'"%b"' % (b"x" * 1_000_000)),
]
LOADS = [
    *(
        Answer(
            json.dumps({"loads": [sglang_rank(**{name: 1}), sglang_rank()]}).replace(
                f'"{name}": 1', f'"{name}": {number}'
            )
        )
        for name in ("num_running_reqs", "token_usage", "total_prefill_busy_us")
        for number in NUMBERS
    ),
    as_json({"loads": [sglang_rank(token_usage=1e308), sglang_rank(token_usage=1e308)]}),
    as_json({"loads": [sglang_rank(num_running_reqs=1e308), sglang_rank(num_running_reqs=1e308)]}),
    as_json({"loads": [sglang_rank()] * (MAX_RANKS + 9)}),
    Answer(b'{"loads":' + DEEP),
]
HOSTILE = [
    *(("vllm", {"/v1/models": answer}) for answer in MODELS),
    *(("vllm", {"/metrics": answer, "/metrics/": answer}) for answer in PAGES),
    *(("vllm", {"/version": Answer(b'{"version":"%b"}' % name)}) for name in NAMES),
    *(("vllm", {"/server_info": Answer(body)}) for body in (DEEP, b'{"vllm_config":' + DEEP, b"\xff")),
    *(("sglang", {"/server_info": answer}) for answer in INFOS),
    *(("sglang", {"/v1/loads": answer}) for answer in LOADS),
    *(
        ("sglang", {"/model_info": Answer(b'{"architectures":%b}' % body)})
        for body in (DEEP, b"[[[]]]", b"1e400", b"0")
    ),
]


async def look(http: httpx.AsyncClient, url: str) -> tuple[Facts, Load | None]:
    engine = await detect(http, url)
    return await engine.facts(http, url), await engine.load(http, url)


def check_facts(facts: Facts) -> None:
    assert facts.models
    for model in facts.models:
        assert 0 < len(model.id) <= MAX_NAME_CHARS
        assert (model.id + model.root + model.parent + facts.version).isprintable()
        assert len(model.root) <= MAX_PATH_CHARS
        assert 0 <= model.max_model_len <= MAX_MODEL_LEN
    assert len(facts.version) <= MAX_NAME_CHARS
    assert 0 <= facts.block_tokens <= MAX_BLOCK_TOKENS
    assert 0 <= facts.kv_capacity_tokens <= MAX_KV_TOKENS
    assert len(facts.ranks) <= MAX_RANKS
    assert all(0 <= rank.kv_capacity_tokens <= MAX_KV_TOKENS for rank in facts.ranks)
    assert len(repr(facts.served)) < 20_000
    assert len(facts.generation) < 400


def check_load(load: Load) -> None:
    assert len(load.ranks) <= MAX_RANKS
    for rank in load.ranks:
        assert not rank.ranks
        check_load(rank)
    assert 0 <= load.kv_usage <= 1
    counts: list[Any] = [load.running, load.waiting, load.prefill_tokens_sum, load.prompt_tokens_total or 0]
    assert all(isinstance(count, int) and 0 <= count <= MAX_VALUE * MAX_SAMPLES for count in counts)
    assert math.isfinite(load.prefill_seconds_sum)


@pytest.mark.parametrize("number", range(len(HOSTILE)))
async def test_it_is_a_value_within_bounds_or_an_error(number: int) -> None:
    kind, answers = HOSTILE[number]
    routes = vllm() if kind == "vllm" else sglang()
    async with FakeWorker({**routes, **answers}) as worker, client() as http:
        try:
            facts, load = await look(http, worker.url)
        except WorkerAnswerError as error:
            assert len(str(error)) < 300
            assert str(error).isprintable()
            return
    check_facts(facts)
    if load is not None:
        check_load(load)


async def test_a_redirect_is_not_followed() -> None:
    async with FakeWorker({"/secret": as_json({"data": [{"id": "m"}]})}) as other:
        away = Answer(status=302, headers={"location": f"{other.url}/secret"})
        async with FakeWorker(dict.fromkeys(vllm(), away)) as worker, client() as http:
            with pytest.raises(WorkerAnswerError, match="302"):
                await detect(http, worker.url)
        assert not other.asked


async def test_a_body_in_single_bytes_is_cut_off_at_once() -> None:
    """Each chunk costs the HTTP client far more than it costs the worker."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 1_000_000)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server, client() as http:
        began = time.process_time()
        with pytest.raises(WorkerAnswerError, match="pieces"):
            await look(http, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert time.process_time() - began < 2


FLOODS = {
    "announcements": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2000),
    "announcements, cut": (b"HTT", b"P/1.1 100 Continue\r\n\r\nHTT" * 2000),
    "single bytes": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 10_000),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_does_not_hold_the_event_loop(name: str) -> None:
    """At once, and not only when the time for an answer is over."""
    first, flood = FLOODS[name]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        await writer.drain()
        with suppress(ConnectionError):
            while True:
                writer.write(flood)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server, client(30.0) as http:
        began = time.process_time()
        with pytest.raises(WorkerAnswerError):
            await look(http, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert time.process_time() - began < 2
