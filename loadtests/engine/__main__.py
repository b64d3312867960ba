"""`python -m loadtests.engine`: one emulated engine on a port. Prints its URL in one line when it serves."""

import argparse
import asyncio
import dataclasses
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack

import msgspec
import numpy as np
import uvloop
from redis import Redis, RedisError

from loadtests.engine.kv_events import KvEventsConfig
from loadtests.engine.profiles import PROFILES
from loadtests.engine.prompts import TokenSource
from loadtests.engine.server import bound_socket, make_server, token_source
from loadtests.engine.settings import Settings

LARGE_BYTES = 16_000_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    options = _parsed(arguments)
    settings = _settings(options)
    _keep_freed_memory()
    source = token_source(settings)
    sock = bound_socket(options.host, options.port)
    host = f"[{options.host}]" if ":" in options.host else options.host
    print(f"http://{host}:{sock.getsockname()[1]}", flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, source, sock))


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    made = parser()
    options = made.parse_args(arguments)
    if options.shared_tier:
        if not options.tier_tokens:
            made.error("--shared-tier needs --tier-tokens")
        try:
            Redis.from_url(options.shared_tier).ping()
        except (ValueError, RedisError) as error:
            made.error(f"--shared-tier {options.shared_tier}: {error}")
    return options


def _keep_freed_memory() -> None:
    """Have glibc reuse the memory of long bodies. Until it has seen a large block freed, it takes fresh pages from the
    kernel for each array above 128 KB, which costs more than all else that a 150 KB request needs."""
    np.empty(LARGE_BYTES, dtype=np.uint8)


async def _serve(settings: Settings, source: TokenSource, sock: socket.socket) -> None:
    if settings.kv_events is None:
        return await make_server(settings, source).serve(sockets=[sock])
    from loadtests.engine.kv_publisher import KvPublisher  # noqa: PLC0415  (imports pyzmq, of the loadtest extra)

    async with AsyncExitStack() as stack:
        block_tokens, feeds = settings.profile.block_tokens, []
        for rank in range(settings.ranks):
            publisher = await stack.enter_async_context(KvPublisher(settings.kv_events, block_tokens, rank))
            feeds.append(publisher.feed)
        await make_server(settings, source, feeds).serve(sockets=[sock])


def _settings(options: argparse.Namespace) -> Settings:
    profile = PROFILES[options.profile]
    changes = {
        "kv_tokens": options.kv_tokens,
        "block_tokens": options.block_tokens,
        "max_model_len": options.max_model_len,
        "tier_tokens": options.tier_tokens,
        "caches": options.enable_prefix_caching,
    }
    profile = dataclasses.replace(profile, **{name: value for name, value in changes.items() if value is not None})
    return Settings(
        model=options.model,
        tokenizer=options.tokenizer,
        profile=profile,
        kind=options.kind,
        loras=tuple(options.lora),
        api_key=options.api_key,
        kv_events=options.kv_events_config,
        speed=options.speed,
        shared_tier=options.shared_tier,
        seed=options.seed,
        ranks=options.data_parallel_size,
        pair_role=options.pair_role,
    )


def _kv_events(text: str) -> KvEventsConfig | None:
    try:
        config = msgspec.json.decode(text, type=KvEventsConfig)
    except msgspec.DecodeError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return config if config.enable_kv_cache_events else None


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser("python -m loadtests.engine", description="An emulated engine, without a GPU.")
    add = made.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=8101, help="0 takes a free one")
    add("--model", default="warm-demo", help="the name it serves")
    add("--tokenizer", default="bytes", help="`bytes` (4 bytes a token), a folder, a hub id or package:NAME")
    add("--profile", choices=sorted(PROFILES), default="demo")
    add("--kv-tokens", type=int, help="instead of the profile's KV capacity")
    add("--tier-tokens", type=int, help="a second tier of KV memory, on the host")
    add(
        "--shared-tier",
        default="",
        metavar="REDIS_URL",
        help="the second tier is one pool for all engines that name this Redis",
    )
    add("--block-tokens", type=int, help="instead of the profile's block size")
    add("--no-enable-prefix-caching", action="store_false", dest="enable_prefix_caching", help="vLLM's flag")
    add("--max-model-len", type=int, help="instead of the profile's")
    add("--kind", choices=("vllm", "sglang"), default="vllm", help="whose HTTP surface")
    add("--lora", action="append", default=[], metavar="NAME", help="an adapter that it serves too (repeatable)")
    add(
        "--kv-events-config",
        type=_kv_events,
        metavar="JSON",
        help='vLLM\'s flag: {"enable_kv_cache_events": true, "endpoint": "tcp://*:5557", "replay_endpoint": ...}',
    )
    add("--data-parallel-size", type=int, default=1, help="ranks behind the one URL, each with a pool of its own")
    add("--api-key", help="asked of every client")
    add("--speed", type=float, default=1.0, help="engine seconds per second")
    add("--seed", type=int, default=0, help="changes the words of the answers")
    add("--pair-role", choices=("null", "prefill", "decode"), default="null", help="SGLang: say to be half a pair")
    return made


if __name__ == "__main__":
    main()
