"""Plays conversations at a pace, and hands every record on. Time is the event loop's."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from loadtests.laboratory.replay.conversations import Ask, Conversation
from loadtests.laboratory.replay.pace import Pace, arrivals
from loadtests.laboratory.replay.record import Record

Send = Callable[[Conversation, int, Ask], Awaitable[Record]]
"""Sends turn N of a conversation and gives its record."""


class Player:
    """One replay. `saw` is called with each record as it comes; what it raises ends the replay and is raised."""

    def __init__(self, pace: Pace, send: Send, saw: Callable[[Record], None]) -> None:
        self._pace, self._send, self._saw = pace, send, saw
        self.running = 0
        """Requests without their last byte."""

    async def play(self, conversations: Iterator[Conversation], last_s: float | None) -> None:
        """All of them. Nothing is asked later than `last_s` seconds after the start; what was asked is waited for."""
        began = asyncio.get_running_loop().time()
        ends = None if last_s is None else began + last_s
        free = asyncio.Semaphore(self._pace.sessions if self._pace.loop == "closed" else 1_000_000)
        try:
            async with asyncio.TaskGroup() as group:
                for at_s, conversation in arrivals(self._pace, conversations):
                    await free.acquire()
                    if not await _until(began + at_s, ends):
                        return
                    task = group.create_task(self._converse(conversation, ends))
                    task.add_done_callback(lambda _: free.release())
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _converse(self, conversation: Conversation, ends: float | None) -> None:
        loop = asyncio.get_running_loop()
        for turn, ask in enumerate(conversation.make()):
            if self._pace.max_turns and turn >= self._pace.max_turns:
                return
            if turn and not await _until(loop.time() + self._pace.think_s(ask.think_s), ends):
                return
            self.running += 1
            try:
                record = await self._send(conversation, turn, ask)
            finally:
                self.running -= 1
            self._saw(record)


async def _until(moment: float, ends: float | None) -> bool:
    """Wait until then; False, at the end, if the replay is over by then. A conversation that has nothing to do before
    the end is waited for: another one must not take its place."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(max(0.0, (moment if ends is None else min(moment, ends)) - loop.time()))
    return ends is None or max(moment, loop.time()) < ends


def body_of(ask: Ask, model: str, max_answer_tokens: int, more: Mapping[str, Any]) -> dict[str, Any]:
    """A streaming request that asks for usage. `more` wins over all that was recorded."""
    tokens = min(ask.answer_tokens, max_answer_tokens) if max_answer_tokens else ask.answer_tokens
    limits = {"max_tokens": tokens, "stream": True, "stream_options": {"include_usage": True}}
    kept = {name: value for name, value in ask.body.items() if name not in ("max_completion_tokens", "n")}
    return {**kept, "model": model, **limits, **more}
