"""Sends one chat request and watches its stream. What must not be broken: it never raises for what a server does.

Only the events up to the first token and the last few are parsed, so that watching costs next to nothing.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from loadtests.replay.record import NAN, Decision, Record, Usage

TAIL_BYTES = 8192
"""Of a stream's end: where usage, `[DONE]` and errors are."""
DETAIL_CHARS = 200
_SPOKEN = ("content", "reasoning_content", "reasoning", "tool_calls", "refusal")


@dataclass(frozen=True, slots=True)
class Question:
    """One request to send."""

    session: str
    turn: int
    url: str
    """Of the endpoint, in full."""
    body: bytes
    headers: Mapping[str, str]


class Client:
    """One HTTP client; use as `async with`. `clock` counts the records' seconds."""

    def __init__(self, timeout_s: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._timeout_s = timeout_s
        self._clock = clock

    async def __aenter__(self) -> "Client":
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        connector = aiohttp.TCPConnector(limit=0)
        self._http = aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=True)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.close()

    async def ask(self, question: Question) -> Record:
        """Send, and read the answer to its end."""
        stream = Stream()
        asked_s, first_s = self._clock(), NAN
        decision, error, detail = Decision(), "", ""
        try:
            async with self._http.post(question.url, data=question.body, headers=question.headers) as response:
                decision = _decision(response.headers)
                async for chunk in response.content.iter_any():
                    if stream.feed(chunk):
                        first_s = self._clock()
                if response.status != 200:
                    error, detail = f"status {response.status}", stream.said()
                else:
                    error, detail = stream.error()
        except TimeoutError:
            error = "timeout"
        except aiohttp.ClientConnectorError as failure:
            error, detail = "no connection", str(failure.os_error)
        except (aiohttp.ClientError, OSError) as failure:
            error, detail = "no answer" if not stream.tail else "cut off", str(failure) or type(failure).__name__
        usage = Usage() if error else stream.usage()
        ended_s = self._clock()
        head = Record(question.session, question.turn, asked_s, first_s, ended_s)
        return head._replace(error=error, detail=detail[:DETAIL_CHARS], usage=usage, decision=decision)

    async def first_model(self, base: str, headers: Mapping[str, str]) -> str:
        """The first model that the server has. Raises ValueError, in words for the user."""
        try:
            async with self._http.get(f"{base}/models", headers=headers) as response:
                text = await response.read()
                if response.status != 200:
                    raise ValueError(f"{base}/models answers {response.status}: {text[:DETAIL_CHARS].decode()}")
                return str(msgspec.json.decode(text)["data"][0]["id"])
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            said = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            raise ValueError(f"{base} does not answer: {said or type(error).__name__}") from None
        except (msgspec.DecodeError, LookupError, TypeError):
            raise ValueError(f"{base}/models names no model; give one with --model") from None


class Stream:
    """A stream of server-sent events, of which the first token and the end are looked for."""

    def __init__(self) -> None:
        self.tail = b""
        self._begun = False

    def feed(self, chunk: bytes) -> bool:
        """Take the next bytes. True once: when they complete the event that has the first token."""
        self.tail += chunk
        if self._begun:
            self.tail = self.tail[-TAIL_BYTES:]
            return False
        whole = self.tail.replace(b"\r\n", b"\n").rpartition(b"\n\n")[0]
        self._begun = any(_speaks(event) for event in _events(whole))
        return self._begun

    def usage(self) -> Usage:
        """The last usage that the stream reported."""
        for event in reversed(_events(self.tail)):
            used = _decoded(event).get("usage")
            if isinstance(used, dict):
                details = used.get("prompt_tokens_details")
                cached = details.get("cached_tokens") if isinstance(details, dict) else None
                return Usage(*(_count(n) for n in (used.get("prompt_tokens"), cached, used.get("completion_tokens"))))
        return Usage()

    def error(self) -> tuple[str, str]:
        """Kind and detail of what went wrong with a stream that has ended; empty when nothing did."""
        for event in _events(self.tail):
            error = _decoded(event).get("error")
            if error:
                return "error event", str(error.get("message", error) if isinstance(error, dict) else error)
        if b"data: [DONE]" in self.tail or b"data:[DONE]" in self.tail:
            return ("", "") if self._begun else ("empty answer", "")
        return "cut off", "the stream ended without [DONE]"

    def said(self) -> str:
        """An error's message, as OpenAI's API has it, or the text itself."""
        said = _decoded(self.tail).get("error")
        if isinstance(said, dict):
            said = said.get("message")
        return str(said or self.tail.decode("utf-8", "replace")).strip()


def _events(text: bytes) -> list[bytes]:
    lines = text.split(b"\n")
    return [line[5:].strip() for line in lines if line.startswith(b"data:")]


def _decoded(event: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(event)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _speaks(event: bytes) -> bool:
    """Has it a token? Of any kind: reasoning and tool calls count."""
    choices = _decoded(event).get("choices") or [{}]
    choice = choices[0] if isinstance(choices, list) and isinstance(choices[0], dict) else {}
    delta = choice.get("delta")
    return bool(choice.get("text")) or (isinstance(delta, dict) and any(delta.get(name) for name in _SPOKEN))


def _count(value: object) -> int:
    return value if isinstance(value, int) else -1


def _decision(headers: Mapping[str, str]) -> Decision:
    cached = headers.get("x-warmroute-cached-tokens", "")
    return Decision(
        headers.get("x-warmroute-worker", ""),
        headers.get("x-warmroute-reason", ""),
        int(cached) if cached.isdecimal() else -1,
    )
