"""Waiting for tokens before the decision: as long as it is cheap against what a blind decision risks, and no longer."""

import threading
import time
from typing import Any

import pytest
from msgspec.structs import replace

from router.observe.instruments import Counter
from router.prompts.encoding import INLINE_BYTES, EncodePool, Encoder
from router.routing.asked import Asked
from router.routing.recognition import Recognition
from tests.router.fleets import MODEL, make_fleet
from tokenizer_cache.bodies.request import Request, parse
from tokenizer_cache.prompt import Prompt

WAITS_S = 1.5
"""A share of 1 of ESTIMATE's prefill is 2 s: who takes less than this has not waited for the encoder."""
ESTIMATE = Prompt(chain=b"", known_blocks=0, tokens=16_000, block_tokens=64, exact=False, source="estimate")
EXACT = Prompt(chain=b"k" * 8, known_blocks=1, tokens=16_100, block_tokens=64, exact=True, source="encoded")


class SlowEncoder:
    """Encodes when it is let go."""

    def __init__(self, tail_bytes: int) -> None:
        self._tail_bytes = tail_bytes
        self.go = threading.Event()

    def recognise(self, request: Request) -> Prompt:
        return ESTIMATE

    def tail_bytes(self, request: Request) -> int:
        return self._tail_bytes

    def encode_briefly(self, request: Request) -> Prompt:
        return self.encode(request)

    def encode(self, request: Request) -> Prompt:
        assert self.go.wait(10)
        return EXACT

    def observe(self, request: Request, prompt_tokens: int) -> None:
        raise NotImplementedError


class Case:
    """One request that is not known."""

    def __init__(
        self, share: float, prompt: Prompt = ESTIMATE, tail_bytes: int = 2 * INLINE_BYTES, recall: Any = None
    ) -> None:
        fleet = make_fleet(2)
        group = fleet.group(MODEL)
        assert group is not None
        (name,) = {worker.format for worker in group.workers}
        self.encoder = SlowEncoder(tail_bytes)
        self.pool = EncodePool(1)
        self.degraded = Counter("degraded", "", ("reason",))
        self._recognition = Recognition(self.pool, recall, self.degraded, wait_share=share)
        request = parse("chat", b'{"model":"m","messages":[{"role":"user","content":"hello"}]}')
        encoders = {name: self.encoder}
        self._asked = Asked(group=group, model=MODEL, request=request, encoders=encoders, prompts={name: prompt})

    def leave(self) -> None:
        """All its workers go."""
        self._asked.group.workers.clear()

    async def wait(self) -> tuple[Prompt, float]:
        """The prompt that is decided on, and the seconds that it took."""
        began = time.perf_counter()
        async with self.pool:
            asked = await self._recognition.complete(self._asked)
            took_s = time.perf_counter() - began
            self.encoder.go.set()
        (prompt,) = asked.prompts.values()
        return prompt, took_s


async def test_a_new_prompt_waits_for_its_tokens() -> None:
    case = Case(share=10.0)  # of 2 s
    threading.Timer(0.05, case.encoder.go.set).start()
    prompt, took_s = await case.wait()
    assert prompt is EXACT
    assert took_s > 0.04
    assert not case.degraded.values


async def test_the_wait_ends_at_its_share_of_the_prefill() -> None:
    case = Case(share=0.05)  # of 2 s
    prompt, took_s = await case.wait()
    assert prompt is ESTIMATE
    assert 0.09 < took_s < WAITS_S
    assert case.degraded.values == {("encoding",): 1}


@pytest.mark.parametrize(
    ("share", "prompt"),
    [
        (0.0, ESTIMATE),
        (1.0, EXACT),
        (1.0, replace(ESTIMATE, known_blocks=125)),
        (1.0, replace(ESTIMATE, source="text")),
    ],
)
async def test_what_need_not_wait_does_not(share: float, prompt: Prompt) -> None:
    case = Case(share, prompt)
    waited, took_s = await case.wait()
    assert waited is prompt
    assert took_s < WAITS_S


async def test_of_a_group_that_all_have_left_nothing_is_waited_for() -> None:
    case = Case(share=1.0)
    case.leave()
    prompt, took_s = await case.wait()
    assert prompt is ESTIMATE
    assert took_s < WAITS_S


async def test_a_short_prompt_is_encoded_at_once() -> None:
    case = Case(share=0.0, tail_bytes=INLINE_BYTES)
    case.encoder.go.set()
    assert (await case.wait())[0] is EXACT


class KnownElsewhere:
    """Another router knows the prompt."""

    async def find(self, encoder: Encoder, request: Request, prompt: Prompt, pool: EncodePool) -> Prompt:
        return replace(prompt, known_blocks=200)


async def test_what_another_router_knows_is_not_waited_for() -> None:
    case = Case(share=1.0, recall=KnownElsewhere())
    prompt, took_s = await case.wait()
    assert prompt.known_blocks == 200
    assert took_s < WAITS_S
