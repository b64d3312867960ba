"""A vLLM in one process, run by vLLM's own Python: it answers random requests, publishes its KV events, and then writes
down what its block pool holds.

It imports nothing of this repository. What a block holds is noted when the engine gives it its hash, from the request's
own tokens: events are not read.
"""

import argparse
import inspect
import json
import os
import random
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"

vllm, config, kv_cache_utils, block_pool = (
    import_module(name) for name in ("vllm", "vllm.config", "vllm.v1.core.kv_cache_utils", "vllm.v1.core.block_pool")
)

LONGEST = 4_000
SESSIONS = 40

Noted = dict[bytes, tuple[bytes | None, list[int]]]


def note_blocks(noted: Noted) -> None:
    """Note the parent and the tokens of each block that gets a hash from now on."""
    cache = block_pool.BlockPool.cache_full_blocks
    named = inspect.signature(cache)

    def noting(*given: Any, **more: Any) -> None:
        call = named.bind(*given, **more).arguments
        request, size = call["request"], call["block_size"]
        hashes = kv_cache_utils.resolve_block_hashes(request.block_hashes, call["self"].hash_block_size, size)
        for place in range(call["num_cached_blocks"], call["num_full_blocks"]):
            ids = list(request.all_token_ids[place * size : (place + 1) * size])
            noted[bytes(hashes[place])] = (bytes(hashes[place - 1]) if place else None, ids)
        cache(*given, **more)

    block_pool.BlockPool.cache_full_blocks = noting


def random_prompts(rng: random.Random, sessions: list[list[int]]) -> list[list[int]]:
    """Up to eight turns at once: sessions that grow, part from each other, and begin anew."""
    prompts = []
    for _ in range(rng.randint(1, 8)):
        place = rng.randrange(SESSIONS)
        ids = list(sessions[place])
        if ids and rng.random() < 0.2:
            ids = ids[: rng.randrange(len(ids))]
        if len(ids) > LONGEST:
            ids = []
        ids += [rng.randrange(100, 50_000) for _ in range(rng.randint(20, 800))]
        sessions[place] = ids
        prompts.append(ids)
    return prompts


def held(pool: Any, noted: Noted) -> list[dict[str, Any]]:
    """Each hash in the pool once, with its parent, its tokens, and how many blocks have it."""
    copies: dict[bytes, int] = {}
    for block in pool.blocks:
        if block.block_hash is not None:
            key = bytes(kv_cache_utils.get_block_hash(block.block_hash))
            copies[key] = copies.get(key, 0) + 1
    found = []
    for key, count in copies.items():
        parent, ids = noted[key]
        found.append({"hash": key.hex(), "parent": parent and parent.hex(), "ids": ids, "copies": count})
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("model", "endpoint", "replay", "out"):
        parser.add_argument(f"--{name}", required=True)
    for name, value in (("requests", 500), ("blocks", 420), ("block-size", 128), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    noted: Noted = {}
    note_blocks(noted)
    events = config.KVEventsConfig(
        enable_kv_cache_events=True, publisher="zmq", endpoint=options.endpoint, replay_endpoint=options.replay
    )
    llm = vllm.LLM(
        options.model,
        load_format="dummy",
        max_model_len=32_768,
        enforce_eager=True,
        dtype="bfloat16",
        num_gpu_blocks_override=options.blocks,
        block_size=options.block_size,
        kv_events_config=events,
        enable_prefix_caching=True,
        gpu_memory_utilization=0.3,
        disable_log_stats=True,
    )
    rng, asked = random.Random(options.seed), 0
    sessions: list[list[int]] = [[] for _ in range(SESSIONS)]
    while asked < options.requests:
        prompts = random_prompts(rng, sessions)
        asked += len(prompts)
        limits = [vllm.SamplingParams(max_tokens=rng.randint(1, 24), ignore_eos=True, temperature=0) for _ in prompts]
        llm.generate([vllm.TokensPrompt(prompt_token_ids=ids) for ids in prompts], limits, use_tqdm=False)
    pool = llm.llm_engine.engine_core.engine_core.scheduler.kv_cache_manager.block_pool
    told = {"requests": asked, "block_size": options.block_size, "cached": len(noted), "held": held(pool, noted)}
    Path(options.out).write_text(json.dumps(told))
    print("written", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
