"""The command: builds the router of these settings, lets it look at its workers without serving, and reports."""

import asyncio
import dataclasses
import logging
import socket
import sys
from collections.abc import Callable
from typing import TextIO

import msgspec

from router.build.app import Router
from router.build.basics import basics_of
from router.build.make_dial import make_control_client
from router.build.tuning import DEFAULTS
from router.check.events import of_events
from router.check.finding import Finding, exit_code, lines
from router.check.redis import of_redis
from router.check.worker import of_answers, of_state
from router.fleet.worker import Worker, WorkerState
from router.prompts.encoding import Encoder
from router.settings import Settings

LOOK_S = 0.05
LOAD_S = 3.0
"""A worker that shows no load by then is said to show none."""
LOADED_S = 60.0
"""Tokenizers are waited for as long as this."""
ANSWER_S = 30.0
"""A worker answers a prompt of a few words within this, even while it is busy."""


def run(settings: Settings, as_json: bool = False, out: TextIO = sys.stdout) -> int:
    """Print what was found. Returns 1 if anything does not work."""
    logging.getLogger("warmroute").setLevel(logging.CRITICAL)  # it would say the same, and less
    found = asyncio.run(check(settings))
    out.write(msgspec.json.encode(found).decode() + "\n" if as_json else lines(found))
    return exit_code(found)


async def check(settings: Settings) -> list[Finding]:
    """Everything, in the order in which it is needed."""
    found = _listening(settings)
    # Alone: a router that joins the others for a moment would be counted by them.
    own = dataclasses.replace(settings, redis="", access_log=False, trace_file="", forward_token_ids=True)
    async with Router(own) as router:
        await _settled(router)
        found += await _workers(router)
    if settings.redis:
        found += await of_redis(basics_of(settings, DEFAULTS))
    return found


def _listening(settings: Settings) -> list[Finding]:
    """Can the router listen where it is told to?"""
    where = f"{settings.host}:{settings.port}"
    try:
        family, kind, *_, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        return [Finding("error", where, f"cannot listen: {error.strerror}", "free the port, or choose another --port")]
    return [Finding("ok", where, "free to listen")]


async def _settled(router: Router) -> None:
    """Until every worker that is known was looked at, its load was read, and its tokenizer was tried."""
    await router.warm()
    await _until(
        lambda: all(w.load or w.state is not WorkerState.HEALTHY for w in router.fleet.workers.values()), LOAD_S
    )
    await _until(lambda: not router.prompts.encoders.loading, LOADED_S)


async def _until(done: Callable[[], bool], seconds: float) -> None:
    for _ in range(int(seconds / LOOK_S)):
        if done():
            return
        await asyncio.sleep(LOOK_S)


async def _workers(router: Router) -> list[Finding]:
    workers = list(router.fleet.workers.values())
    if not workers:
        return [Finding("error", "workers", "none is known", "name them with --worker, or let them be discovered")]
    found: list[Finding] = []
    async with make_control_client(router.basics, router.dial, ANSWER_S) as client:
        for worker in workers:
            if worker is not worker.server:
                continue  # what is amiss with one rank's server is amiss with all of it
            found += of_state(worker)
            if worker.state is WorkerState.HEALTHY and worker.facts is not None and worker.facts.engine != "unknown":
                found += await of_answers(client, worker, _encoders(router, worker))
                found += await of_events(worker, router.basics.settings.kv_events)
    return [*found, *_unlike(workers)]


def _encoders(router: Router, worker: Worker) -> dict[str, Encoder]:
    groups = {card.id: router.fleet.group(card.id) for card in worker.models}
    encoders = router.prompts.encoders
    return {name: encoders.of(group)[worker.format] for name, group in groups.items() if group is not None}


def _unlike(workers: list[Worker]) -> list[Finding]:
    """Workers of one model whose prompts differ share no prefix."""
    formats: dict[str, set[str]] = {}
    for worker in workers:
        for card in worker.models:
            formats.setdefault(card.id, set()).add(worker.format)
    text = "its workers differ in engine, template options or block size: no prefix is found across them"
    advice = "start them alike, or accept that each kind has its own prefixes"
    return [Finding("warning", name, text, advice) for name, kinds in formats.items() if len(kinds) > 1]
