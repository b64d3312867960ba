"""The index that is fed by a real vLLM's KV events, beside that engine's block pool, read in its own process.

Skipped unless WARMROUTE_REAL_VLLM_PYTHON (the Python of an environment that has vLLM) and WARMROUTE_REAL_MODEL (the
folder of a model) are set.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from loadtests.ports import ports
from router.kv_events.process import SourceSockets
from router.prefix.residency import Limits
from router.prefix.tree import TreeIndex
from tests.real.told_index import HeardIndex, in_chain

PYTHON = os.environ.get("WARMROUTE_REAL_VLLM_PYTHON", "")
MODEL = os.environ.get("WARMROUTE_REAL_MODEL", "")
CHILD = Path(__file__).parent / "vllm_in_process.py"
ENVIRON = {
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
REQUESTS = int(os.environ.get("WARMROUTE_REAL_REQUESTS", "500"))
POLL_S = 0.02
QUIET_S = 3.0
"""With no batch for so long all have come."""

pytestmark = [
    pytest.mark.skipif(not (PYTHON and MODEL), reason="WARMROUTE_REAL_VLLM_PYTHON and _MODEL are not set"),
    pytest.mark.timeout(3600),
]


@pytest.fixture
def context() -> Iterator[Any]:
    found: Any = zmq.Context()
    yield found
    found.destroy(linger=0)


@pytest.mark.parametrize("block_tokens", [128, 32])
async def test_the_index_is_the_engines_block_pool(context: Any, tmp_path: Path, block_tokens: int) -> None:
    events, repeats = ports(2)
    out = tmp_path / "pool.json"
    command = [PYTHON, str(CHILD), "--model", MODEL, "--out", str(out), "--requests", str(REQUESTS)]
    command += ["--endpoint", f"tcp://*:{events}", "--replay", f"tcp://*:{repeats}"]
    command += ["--block-size", str(block_tokens), "--blocks", str(420 * 128 // block_tokens)]
    child = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **ENVIRON}, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with TreeIndex(Limits(), asyncio.get_running_loop().time, lambda error: None) as tree:
            index = HeardIndex(tree, block_tokens, (f"tcp://127.0.0.1:{events}", f"tcp://127.0.0.1:{repeats}"))
            await listen(index, SourceSockets(context, index.listener), child, out)
            await tree.flush()
            told = json.loads(out.read_text())
            pool = in_chain(told["held"], index.chain, index.root, block_tokens)
            believed, counts = index.blocks(), index.heard.counts
            print(
                f"\nblocks of {block_tokens}: {told['requests']} requests, {counts['stored']} blocks stored, "
                f"{counts['removed']} removed; the pool holds {pool.engine_blocks} distinct blocks, "
                f"{sum(block['copies'] > 1 for block in told['held'])} of them more than once, {pool.reachable} "
                f"reachable: {len(pool.blocks)} blocks of the chain. Believed: {len(believed)}; "
                f"{len(pool.blocks - believed)} held and not believed, {len(believed - pool.blocks)} believed and "
                f"not held"
            )
            assert index.heard.complete
            assert counts["removed"] > pool.engine_blocks / 2, "the pool was too large"
            assert len(pool.blocks) > 100
            assert believed == pool.blocks
    finally:
        assert child.stdin is not None
        child.stdin.close()
        try:
            await asyncio.wait_for(child.wait(), 30)
        except TimeoutError:
            child.kill()
            await child.wait()


async def listen(index: HeardIndex, sockets: SourceSockets, child: asyncio.subprocess.Process, out: Path) -> None:
    """Until the engine has written down what it holds, and nothing more comes."""
    loop = asyncio.get_running_loop()
    index.listener.stream.begin(loop.time())
    quiet_since = loop.time()
    while not await asyncio.to_thread(out.exists) or loop.time() < quiet_since + QUIET_S:
        assert child.returncode is None, "vLLM has ended"
        before = index.heard.counts["batches"]
        sockets.hear(loop.time())
        index.tell()
        if index.heard.counts["batches"] != before:
            quiet_since = loop.time()
        await asyncio.sleep(POLL_S)
    sockets.close()
