"""Sends one chat request and watches its stream. What must not be broken: it never raises because of the server."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp
import msgspec

from loadtests.laboratory.replay.record import NAN, Decision, Record, Usage
from loadtests.laboratory.replay.stream import Stream, decision_of

DETAIL_CHARS = 200


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
                decision = decision_of(response.headers)
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
