"""Encode threads step back behind the event loop, wherever the process itself stands."""

import asyncio
import os
import sys
import threading
from typing import Any

import pytest

from router.prompts.encoding import ENCODE_NICENESS, MAX_NICENESS, EncodePool, _step_back
from tokenizer_cache.bodies.request import Request, parse
from tokenizer_cache.prompt import Prompt

HELLO = parse("chat", b'{"model":"m","messages":[{"role":"user","content":"hello"}]}')


class Held:
    """An encoder that takes until it is let go on, or fails."""

    def __init__(self, fails: bool = False) -> None:
        self.go_on = threading.Event()
        self._fails = fails
        self.prompt = Prompt(b"", 0, 1, 64, exact=True, source="tokens")

    def recognise(self, request: Request) -> Prompt:
        return self.prompt

    def tail_bytes(self, request: Request) -> int:
        return 0

    def encode_briefly(self, request: Request) -> Prompt:
        return self.encode(request)

    def encode(self, request: Request) -> Prompt:
        assert self.go_on.wait(10)
        if self._fails:
            raise ValueError
        return self.prompt

    def observe(self, request: Request, prompt_tokens: int) -> None: ...


@pytest.mark.parametrize("fails", [False, True])
async def test_one_that_fails_at_its_answer_costs_no_other_its_own(fails: bool) -> None:
    problems: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, problem: problems.append(problem))
    told: list[Prompt | None] = []
    last = asyncio.Event()

    def raising(prompt: Prompt | None) -> None:
        raise KeyError

    def ending(prompt: Prompt | None) -> None:
        told.append(prompt)
        last.set()

    encoder = Held(fails)
    async with EncodePool(1) as pool:
        for done in (told.append, raising, told.append, raising, ending):
            pool.submit(encoder, HELLO, done)
        encoder.go_on.set()
        await asyncio.wait_for(last.wait(), 10)
        assert not pool.backlog
    assert told == [None if fails else encoder.prompt] * 3
    assert sum(isinstance(problem.get("exception"), KeyError) for problem in problems) == 2


async def test_without_a_thread_a_prompt_stays_unknown() -> None:
    told: list[Prompt | None] = []
    async with EncodePool(1) as pool:
        pool._executor.shutdown()
        pool.submit(Held(), HELLO, told.append)
        assert (told, pool.refused, pool.backlog) == ([None], 1, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="niceness belongs to a thread on Linux only")
def test_a_thread_steps_back_from_where_its_process_stands() -> None:
    """Also in a process that was started with a low priority: an absolute value would raise it there, which is
    forbidden, and lower it to nothing in one that was started with a high one."""
    found: list[int] = []

    def run() -> None:
        thread = threading.get_native_id()
        found.append(os.getpriority(os.PRIO_PROCESS, thread))
        for _ in range(5):
            _step_back()
            found.append(os.getpriority(os.PRIO_PROCESS, thread))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    own, *after = found
    assert after == [min(MAX_NICENESS, own + steps * ENCODE_NICENESS) for steps in range(1, 6)]
