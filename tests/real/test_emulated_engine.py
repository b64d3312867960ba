"""The emulated engine against a real vLLM: the same requests to both, cached tokens equal request by request.

Skipped unless WARMROUTE_REAL_VLLM is set (see conftest), and where its KV pool is too large to be filled: start it with
`--num-gpu-blocks-override 300 --max-num-batched-tokens 2048`. `-s` prints the table.
"""

import dataclasses
import itertools
import os
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from loadtests.engine.profiles import PROFILES
from loadtests.evidence.check_exact import bodies, read_sessions
from loadtests.laboratory.markdown import Table
from tests.engines import EngineThread
from tests.real.server import RealServer

Body = dict[str, Any]
MOST_POOL_TOKENS = 60_000
MAX_BYTES = 70_000
"""Of a recorded body, so that it fits the server."""
SESSIONS = ["claude_code_entirecli", "codex_agentv", "tau_airline"]
STEP_TOKENS = 2048
NULL_BLOCKS = 1
"""vLLM keeps one block of the pool for itself."""
GAP_S = 0.01
"""Between requests of one round: both servers are in their first step still when the last one comes."""

pytestmark = pytest.mark.timeout(1800)


class Usage(NamedTuple):
    """What a server says of one request."""

    prompt: int
    cached: int
    answer: list[int]


class Server:
    """One of the two."""

    def __init__(self, client: httpx.Client, model: str, salt: str) -> None:
        self._client = client
        self._model = model
        self._salt = salt

    def ask(self, body: Body) -> Usage:
        """One request, to its end. The answer has exactly `max_tokens` tokens."""
        path = "/v1/chat/completions" if "messages" in body else "/v1/completions"
        extra = {"model": self._model, "temperature": 0, "ignore_eos": True, "return_token_ids": True}
        reply = self._client.post(path, json={**extra, "cache_salt": self._salt, **body}).raise_for_status().json()
        usage = reply["usage"]
        cached = (usage["prompt_tokens_details"] or {}).get("cached_tokens") or 0
        return Usage(usage["prompt_tokens"], cached, reply["choices"][0]["token_ids"])


class Pair:
    """Both servers, and what they were asked."""

    def __init__(self, real: Server, emulated: Server) -> None:
        self.servers = (real, emulated)
        self.seen: list[tuple[Usage, Usage]] = []

    def ask(self, body: Body) -> tuple[Usage, Usage]:
        """The same request to both."""
        real, emulated = (server.ask(body) for server in self.servers)
        self.seen.append((real, emulated))
        return real, emulated

    def ask_at_once(self, round_: Sequence[Body]) -> None:
        """Several requests to each, in this order but without waiting for answers."""
        answers = []
        for server in self.servers:
            with ThreadPoolExecutor(len(round_)) as pool:
                asked = []
                for body in round_:
                    asked.append(pool.submit(server.ask, body))
                    time.sleep(GAP_S)
                answers.append([answer.result() for answer in asked])
        self.seen.extend(zip(*answers, strict=True))

    def differing(self) -> list[str]:
        return [
            f"{number}: {real[:2]} there, {emulated[:2]} here"
            for number, (real, emulated) in enumerate(self.seen)
            if real[:2] != emulated[:2]
        ]


@pytest.fixture
def pair(server: RealServer) -> Iterator[Pair]:
    labels = cache_config(server.client.get("/metrics").text)
    block, blocks = int(labels["block_size"]), int(labels["num_gpu_blocks"]) - NULL_BLOCKS
    if block * blocks > MOST_POOL_TOKENS:
        pytest.skip(f"the server's KV pool holds {block * blocks:,} tokens: too many to fill")
    profile = dataclasses.replace(
        PROFILES["demo"],
        block_tokens=block,
        kv_tokens=block * blocks,
        max_model_len=server.max_tokens,
        step_tokens=STEP_TOKENS,
        step_s=0.03,
    )
    tokenizer = os.environ.get("WARMROUTE_REAL_TOKENIZER") or server.client.get("/v1/models").json()["data"][0]["root"]
    with EngineThread(profile=profile, model=server.model, tokenizer=tokenizer) as engine:
        salt = uuid.uuid4().hex  # what the server holds from before must not be found
        with (
            httpx.Client(base_url=server.client.base_url, timeout=300) as real,
            httpx.Client(base_url=engine.url) as our,
        ):
            yield Pair(Server(real, server.model, salt), Server(our, server.model, salt))


def cache_config(text: str) -> dict[str, str]:
    families = text_string_to_metric_families(text)
    return next(family.samples[0].labels for family in families if family.name == "vllm:cache_config_info")


def random_ids(rng: random.Random, count: int) -> list[int]:
    return [rng.randrange(1000, 100_000) for _ in range(count)]


def _interleaved(rng: random.Random, sessions: list[list[Body]]) -> Iterator[Body]:
    """Turns of random sessions, each session's in order."""
    left = [iter(session) for session in sessions]
    while left:
        session = rng.choice(left)
        body = next(session, None)
        if body is None:
            left.remove(session)
        else:
            yield body


@pytest.fixture(scope="module")
def told() -> Iterator[list[tuple[str, ...]]]:
    """Rows of the table that is printed after the last test."""
    rows: list[tuple[str, ...]] = []
    yield rows
    header = ("sequence", "requests", "prompt tokens", "cached, vLLM", "cached, emulated", "requests that differ")
    print("\n" + Table("Cached tokens, request by request", header, rows).markdown())


@pytest.fixture
def agree(pair: Pair, request: pytest.FixtureRequest, told: list[tuple[str, ...]]) -> Iterator[Pair]:
    """The pair; what it was asked is told at the end."""
    yield pair
    prompt, cached = sum(real.prompt for real, _ in pair.seen), sum(real.cached for real, _ in pair.seen)
    here = sum(emulated.cached for _, emulated in pair.seen)
    name = request.node.name.removeprefix("test_").replace("_", " ").replace("[", ": ").rstrip("]")
    told.append((name, f"{len(pair.seen)}", f"{prompt:,}", f"{cached:,}", f"{here:,}", f"{len(pair.differing())}"))


@pytest.mark.parametrize("seed", [1, 2])
def test_growing_sessions_of_ids_by_turns(agree: Pair, seed: int) -> None:
    """Six sessions that do not fit the pool together; answers of random lengths that nobody repeats."""
    rng = random.Random(seed)
    sessions = [random_ids(rng, rng.randint(500, 6000)) for _ in range(6)]
    for turn in range(1, 33):
        ids = rng.choice(sessions)
        ids.extend(random_ids(rng, rng.randint(20, 900)))
        agree.ask({"prompt": ids, "max_tokens": rng.choice((1, 2, 3, 9)) if turn % 10 else 130})
    assert agree.differing() == []


def test_sessions_that_repeat_their_answers(agree: Pair) -> None:
    """Each server's next prompt holds the answer that this server gave."""
    rng = random.Random(3)
    sessions = [([*start], [*start]) for start in (random_ids(rng, rng.randint(500, 6000)) for _ in range(5))]
    for _ in range(30):
        own, new = rng.choice(sessions), random_ids(rng, rng.randint(1, 700))
        limit = rng.choice((1, 2, 9, 20))
        answers = []
        for server, ids in zip(agree.servers, own, strict=True):
            ids.extend(new)
            answers.append(server.ask({"prompt": ids, "max_tokens": limit}))
            ids.extend(answers[-1].answer)
        agree.seen.append((answers[0], answers[1]))
    assert agree.differing() == []


def test_whole_prompts_again_and_cut_short(agree: Pair) -> None:
    """Prompts of whole blocks and one token more or less, asked twice, cut and extended."""
    ids = random_ids(random.Random(4), 4000)
    for length in (1, 127, 128, 128, 129, 129, 256, 255, 257, 1280, 1280, 1279, 1281, 3999, 3999, 2000, 4000, 128):
        agree.ask({"prompt": ids[:length], "max_tokens": 1})
    assert agree.differing() == []


@pytest.mark.parametrize("name", SESSIONS)
def test_recorded_sessions_by_turns(agree: Pair, name: str) -> None:
    folder = os.environ.get("WARMROUTE_TEST_DATA")
    if not folder:
        pytest.skip("WARMROUTE_TEST_DATA is not set")
    fitting = (
        [body for body in bodies(session) if len(str(body)) < MAX_BYTES][-12:]
        for session in read_sessions(Path(folder) / f"{name}.jsonl.zst")
    )
    sessions = list(itertools.islice((turns for turns in fitting if len(turns) > 5), 5))
    for body in _interleaved(random.Random(5), sessions):
        agree.ask({**body, "max_tokens": 2})
    assert agree.differing() == []


def test_rounds_of_four_at_once(agree: Pair) -> None:
    """Four sessions of eight go on at the same time; the next round waits for all of them."""
    rng = random.Random(6)
    sessions = [random_ids(rng, rng.randint(500, 4000)) for _ in range(8)]
    for _ in range(10):
        chosen = rng.sample(sessions, 4)
        for ids in chosen:
            ids.extend(random_ids(rng, rng.randint(20, 900)))
        agree.ask_at_once([{"prompt": ids, "max_tokens": rng.randint(1, 12)} for ids in chosen])
    assert agree.differing() == []


def test_one_new_prompt_four_times_at_once(agree: Pair) -> None:
    rng = random.Random(7)
    for length in (600, 1500, 5000, 9000):
        ids = random_ids(rng, length)
        agree.ask_at_once([{"prompt": [*ids, *random_ids(rng, 50)], "max_tokens": 3} for _ in range(4)])
    assert agree.differing() == []
