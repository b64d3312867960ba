"""Asking workers for token ids: what is sent, what comes of every answer, and how few at a time."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from router.fleet.breaker import Breaker
from router.fleet.worker import Worker
from router.observe.instruments import Counter
from router.prompts.ask import MAX_AT_ONCE, TokenAsker
from tests.router.fake_worker import Answer, FakeWorker, as_json, client
from tests.router.fleets import facts, make_worker
from tokenizer_cache.bodies.request import Request, parse

BODY = b'{"model": "m" ,\n "messages":[{"role":"user","content":"hi"}]}'
CHAT = parse("chat", BODY)
RENDER = "/v1/chat/completions/render"


def healthy(fake: FakeWorker, engine: str = "vllm") -> Worker:
    worker = make_worker(fake.url)
    worker.facts = replace(facts(), engine=engine)  # type: ignore[arg-type]
    worker.healthy = True
    return worker


def asker(timeout_s: float = 5.0, off: bool = False) -> TokenAsker:
    count = Counter("asks", "", ("outcome",))
    return TokenAsker(client(timeout_s), lambda: Breaker(time.monotonic, 2, 60.0), count, off)


async def asked(one: TokenAsker, worker: Worker, request: Request = CHAT) -> Sequence[int] | None:
    told: asyncio.Future[Sequence[int] | None] = asyncio.get_running_loop().create_future()
    one.ask(worker, request, told.set_result)
    return await told


def outcomes(one: TokenAsker) -> dict[str, float]:
    return {labels[0]: value for labels, value in one._count.values.items()}


async def test_the_client_s_own_bytes_are_sent() -> None:
    async with FakeWorker({RENDER: as_json({"token_ids": [1, 2], "sampling_params": {}})}) as fake, asker() as one:
        assert list(await asked(one, healthy(fake)) or ()) == [1, 2]
        assert fake.sent == [(RENDER, BODY)]
        assert outcomes(one) == {"told": 1}


@pytest.mark.parametrize("api", ["messages", "responses"])
async def test_each_api_has_its_own_route(api: str) -> None:
    routes = {f"/v1/{api}/render": as_json({"token_ids": [3]})}
    body = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"}],"input":"a"}'
    async with FakeWorker(routes) as fake, asker() as one:
        assert list(await asked(one, healthy(fake), parse(api, body)) or ()) == [3]


async def test_where_rendering_is_not_offered_it_is_tokenized() -> None:
    routes = {RENDER: Answer("no", 403), "/tokenize": as_json({"count": 1, "tokens": [5]})}
    async with FakeWorker(routes) as fake, asker() as one:
        worker = healthy(fake)
        assert await asked(one, worker) is None
        assert [list(await asked(one, worker) or ()) for _ in range(2)] == [[5], [5]]
        assert fake.times(RENDER) == 1
        effort = parse("chat", BODY[:-1] + b',"reasoning_effort":"low"}')
        assert not one.may_ask([worker], effort), "/tokenize would not read it"


async def test_sglang_tokenizes_all_of_a_chat_request_and_nothing_else() -> None:
    async with FakeWorker({"/tokenize": as_json({"tokens": [5]})}) as fake, asker() as one:
        worker = healthy(fake, "sglang")
        assert await asked(one, worker, parse("chat", BODY[:-1] + b',"reasoning_effort":"low"}')) is not None
        assert not one.may_ask([worker], parse("responses", b'{"model":"m","input":"a"}'))


async def test_a_worker_that_offers_nothing_is_asked_no_more_until_it_restarts() -> None:
    async with FakeWorker({}) as fake, asker() as one:
        worker = healthy(fake)
        assert [await asked(one, worker), await asked(one, worker)] == [None, None]
        assert not one.may_ask([worker], CHAT)
        assert await asked(one, worker) is None
        assert len(fake.sent) == 2
        worker.facts = replace(facts(generation="2"), engine="vllm")
        assert one.may_ask([worker], CHAT)


async def test_a_refused_request_says_nothing_of_the_worker() -> None:
    async with FakeWorker({RENDER: Answer('{"error":{}}', 400)}) as fake, asker() as one:
        worker = healthy(fake)
        for _ in range(5):
            assert await asked(one, worker) is None
        assert one.may_ask([worker], CHAT)
        assert outcomes(one) == {"refused": 5}


async def test_long_answers_are_read_in_slices() -> None:
    ids = [(number * 7919) % 150_000 for number in range(60_000)]
    async with FakeWorker({RENDER: as_json({"token_ids": ids})}) as fake, asker() as one:
        assert list(await asked(one, healthy(fake)) or ()) == ids


BROKEN = [
    *(Answer("boom", 500), Answer("<html>"), Answer(hang=True), as_json({"ids": [1]}), as_json({"token_ids": {}})),
    *(as_json({"token_ids": [-1]}), as_json({"token_ids": [2**40]}), as_json({"token_ids": [1.5]})),
]


@pytest.mark.parametrize("answer", BROKEN)
async def test_a_worker_that_fails_is_left_alone(answer: Answer) -> None:
    async with FakeWorker({RENDER: answer}) as fake, asker(timeout_s=0.1) as one:
        worker = healthy(fake)
        for _ in range(2):
            assert await asked(one, worker) is None
        assert not one.may_ask([worker], CHAT)
        assert outcomes(one) == {"failed": 2}


async def test_only_a_few_questions_at_a_time() -> None:
    async with FakeWorker({RENDER: Answer(hang=True)}) as fake, asker() as one:
        worker, told = healthy(fake), list[Sequence[int] | None]()
        for _ in range(MAX_AT_ONCE + 3):
            one.ask(worker, CHAT, told.append)
            await fake.heard(RENDER, min(len(one._tasks), MAX_AT_ONCE))
        assert told == [None] * 3
        assert outcomes(one) == {"busy": 3}


async def test_nobody_is_asked_when_it_is_off_or_unhealthy_or_the_body_is_long() -> None:
    async with FakeWorker({}) as fake, asker(off=True) as one, asker() as other:
        worker = healthy(fake)
        assert not one.may_ask([worker], CHAT)
        assert other.may_ask([worker], CHAT)
        worker.healthy = False
        assert not other.may_ask([worker], CHAT)
        worker.healthy = True
        long = json.dumps({"model": "m", "messages": [{"role": "user", "content": "a" * (1 << 20)}]}).encode()
        assert not other.may_ask([worker], parse("chat", long))


async def test_other_engines_are_not_asked() -> None:
    async with FakeWorker({}) as fake, asker() as one:
        assert not one.may_ask([healthy(fake, "unknown")], CHAT)
