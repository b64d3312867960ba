"""The arms: which routers, how many, how they are started, and to which of them a request goes.

Every router runs with its own defaults, but that the rivals probe their workers every 2 s, as Warmroute does (their
default is 60): a worker that is back is to be seen within the run. ThunderAgent reads the workers' metrics too, as its
own instructions say.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from loadtests.harness.processes import Engine, Process, Router, total, until
from loadtests.harness.redis_server import RedisProcess
from loadtests.ports import ports

SECRET = "of-the-rivals"
WORKERS = 8
PROFILE = "qwen3-32b-2xh100"
LOADED_S = 60.0
PROBE_S = 2
THUNDER = "thunder"
_MODULES = {"sglang": "sglang_router", "vllm": "vllm_router", "smg": "smg"}


@dataclass(frozen=True, slots=True)
class Arm:
    """One row of every table."""

    name: str
    router: str
    """`oracle`, `warmroute`, or a key of the rivals' interpreters: `sglang`, `vllm`, `smg`, `thunder`."""
    policy: str = ""
    """The policy of a rival; empty for Warmroute."""
    replicas: int = 1
    mesh: bool = False
    """smg: replicas that tell each other."""
    flags: Sequence[str] = ()
    """Warmroute: what else it is started with."""
    releases: bool = False
    """ThunderAgent: it is told when a session has ended."""

    @property
    def ours(self) -> bool:
        return self.router == "warmroute"

    @property
    def names_sessions(self) -> bool:
        """Do its clients name their session in each request?"""
        return self.router == THUNDER

    def runs_with(self, pythons: Mapping[str, str]) -> bool:
        """The interpreter that it needs is given."""
        return self.ours or self.router == ORACLE.router or self.router in pythons


ORACLE = Arm("oracle", "oracle")
ARMS = {
    arm.name: arm
    for arm in (
        ORACLE,
        Arm("warmroute", "warmroute"),
        Arm("warmroute, no waiting", "warmroute", flags=("--session-wait-s", "0")),
        Arm("warmroute x3", "warmroute", replicas=3),
        Arm("warmroute x5", "warmroute", replicas=5),
        Arm("smg", "smg", "cache_aware"),
        Arm("smg x3", "smg", "cache_aware", replicas=3),
        Arm("smg x3 mesh", "smg", "cache_aware", replicas=3, mesh=True),
        Arm("smg round robin", "smg", "round_robin"),
        Arm("sglang", "sglang", "cache_aware"),
        Arm("sglang x3", "sglang", "cache_aware", replicas=3),
        Arm("sglang round robin", "sglang", "round_robin"),
        Arm("vllm", "vllm", "cache_aware"),
        Arm("vllm round robin", "vllm", "round_robin"),
        Arm("thunderagent", THUNDER, releases=True),
        Arm("thunderagent, no release", THUNDER),
    )
}


@dataclass(frozen=True, slots=True)
class Tools:
    """What arms are started with."""

    pythons: Mapping[str, str]
    """Interpreter of each rival."""
    tokenizer: str
    """Of the engines, and of Warmroute; `bytes` has Warmroute compare text."""


@asynccontextmanager
async def running_engines(tokenizer: str) -> AsyncIterator[list[Engine]]:
    """Eight emulated engines at their honest speed."""
    async with AsyncExitStack() as stack:
        engines = [Engine(port, "--tokenizer", tokenizer, "--profile", PROFILE) for port in ports(WORKERS)]
        for engine in engines:
            engine.start()
            stack.push_async_exit(engine)
        for engine in engines:
            await engine.wait_ready()
        yield engines


@asynccontextmanager
async def running(arm: Arm, engines: Sequence[Engine], tools: Tools) -> AsyncIterator[list[Process]]:
    """The arm's routers, ready: each knows all workers. None for the oracle."""
    async with AsyncExitStack() as stack:
        if arm.router == "oracle":
            routers: list[Process] = []
        elif arm.ours:
            routers = await _warmroutes(arm, engines, tools, stack)
        elif arm.router == THUNDER:
            routers = [_thunderagent(engines, tools)]
        else:
            routers = _rivals(arm, engines, tools)
        for router in routers:
            router.start()
            stack.push_async_exit(router)
        await asyncio.gather(*(ready(router, arm, engines) for router in routers))
        yield routers


async def ready(router: Process, arm: Arm, engines: Sequence[Engine]) -> None:
    """Wait until it serves, knows all workers, and has its tokenizer. Raises NotReady."""
    await router.wait_ready()
    if arm.ours:
        await until(lambda: _has_tokenizer(router), LOADED_S, f"{router.url} has no tokenizer")
    elif arm.router == THUNDER:
        await until(lambda: _knows_memory(router, engines), LOADED_S, f"{router.url} does not know all workers' memory")
    else:
        await until(lambda: _knows_all(router, engines), LOADED_S, f"{router.url} does not reach every worker")


async def _warmroutes(arm: Arm, engines: Sequence[Engine], tools: Tools, stack: AsyncExitStack) -> list[Process]:
    redis = await stack.enter_async_context(RedisProcess())
    flags = ["--tokenizer", "off" if tools.tokenizer == "bytes" else tools.tokenizer]
    flags += ["--redis", redis.url, "--index-secret", SECRET, *arm.flags]
    return [Router(port, engines, *flags) for port in ports(arm.replicas)]


def _thunderagent(engines: Sequence[Engine], tools: Tools) -> Process:
    (port,) = ports(1)
    command = ["ThunderAgent", "--backends", ",".join(engine.url for engine in engines), "--metrics"]
    return Process(port, [*command, "--log-level", "error"], tools.pythons[THUNDER])


def _rivals(arm: Arm, engines: Sequence[Engine], tools: Tools) -> list[Process]:
    served, metrics, meshed = (ports(3 * arm.replicas)[n::3] for n in range(3))
    workers = ["--worker-urls", *(engine.url for engine in engines)]
    routers: list[Process] = []
    for index, port in enumerate(served):
        command = [f"{_MODULES[arm.router]}.launch_router", "--policy", arm.policy, "--log-level", "error"]
        command += ["--prometheus-port", str(metrics[index]), "--worker-startup-check-interval", "1"]
        command += ["--health-check-interval-secs", str(PROBE_S), *workers]
        if arm.mesh:
            peers = [f"127.0.0.1:{other}" for other in meshed if other != meshed[index]]
            command += ["--enable-mesh", "--mesh-host", "127.0.0.1", "--mesh-port", str(meshed[index])]
            command += ["--mesh-server-name", f"router-{index}", "--mesh-peer-urls", *peers]
        routers.append(Process(port, command, tools.pythons[arm.router]))
    return routers


async def _has_tokenizer(router: Process) -> bool:
    assert isinstance(router, Router)
    metrics = await router.metrics()
    return "warmroute_tokenizers_loading" in metrics and not total(metrics, "warmroute_tokenizers_loading")


async def _knows_all(router: Process, engines: Sequence[Engine]) -> bool:
    status, said = await router.call("GET", "/readiness")
    return status == 200 and bool(json.loads(said)["healthy_workers"] == len(engines))


async def _knows_memory(router: Process, engines: Sequence[Engine]) -> bool:
    status, said = await router.call("GET", "/metrics")
    backends = json.loads(said)["backends"].values() if status == 200 else ()
    memory = [backend.get("cache_config", {}).get("total_tokens_capacity", 0) for backend in backends]
    return len(memory) == len(engines) and all(memory)
