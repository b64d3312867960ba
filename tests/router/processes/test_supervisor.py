"""Several real processes behind one port: spread, metrics, crashes, signals, and no orphans."""

import asyncio
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from loadtests.ports import ports
from tests.engines import EngineThread
from tests.router.http.site import CHAT
from tests.routers import chat

PROCESSES = 2
ADMIN = {"x-warmroute-admin-key": "admin"}


class Served:
    """`warmroute serve --processes N` and its parts."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    def children(self, word: str = "router.build.child") -> list[int]:
        """Process ids of the supervisor's children whose command contains `word`."""
        return [pid for pid, parent, command in processes() if parent == self.process.pid and word in command]

    async def get(self, path: str, timeout_s: float = 10) -> httpx.Response:
        """On a connection of its own: any process may answer."""
        async with httpx.AsyncClient(base_url=self.url, headers=ADMIN, timeout=timeout_s) as client:
            return await client.get(path)

    async def ask(self, content: str = "hello") -> int:
        """One chat request on a connection of its own. Returns the status."""
        async with httpx.AsyncClient(base_url=self.url, timeout=10) as client:
            return (await client.post(CHAT, json=chat(content))).status_code


def total(page: str, name: str) -> float:
    """A metric summed over its labels."""
    lines = page.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((name + "{", name + " ")))


def processes() -> list[tuple[int, int, str]]:
    """All processes of this machine: id, parent's id, command."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                state = (folder / "stat").read_text().rpartition(")")[2].split()
                if state[0] != "Z":
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found.append((int(folder.name), int(state[1]), command))
    return found


async def until(condition: Callable[[], Awaitable[bool]], limit_s: float = 20) -> None:
    async with asyncio.timeout(limit_s):
        while not await condition():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def supervised(*flags: str) -> AsyncIterator[Served]:
    """All processes ready."""
    (port,) = ports(1)
    command = [sys.executable, "-m", "router", "serve", "--processes", str(PROCESSES), "--port", str(port)]
    command += ["--tokenizer", "off", "--no-access-log", "--admin-api-key", "admin"]
    process = await asyncio.create_subprocess_exec(*command, *flags, stderr=asyncio.subprocess.DEVNULL)
    served = Served(process, port)
    try:
        await until(lambda: _all_serve(served))
        yield served
    finally:
        left = [*served.children(""), process.pid]
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await process.wait()


async def _all_serve(served: Served) -> bool:
    assert served.process.returncode is None
    try:
        page = (await served.get("/metrics")).text
    except httpx.TransportError:
        return False
    return page.count("process_start_time_seconds{") == PROCESSES


async def test_one_metrics_page_and_what_crashes_comes_back() -> None:
    with EngineThread(model="m") as engine:
        async with supervised("--worker", engine.url) as served:
            assert await asyncio.gather(*(served.ask() for _ in range(20))) == [200] * 20
            for _ in range(4):
                page = (await served.get("/metrics")).text
                assert page.count("process_start_time_seconds{") == PROCESSES
                assert total(page, "warmroute_requests_total") == 20
                assert total(page, "warmroute_worker_healthy") == 1
                assert (await served.get("/ready")).status_code == 200
            commands = [command for pid, _, command in processes() if pid in served.children("")]
            assert not any("secret" in command or "admin" in command for command in commands)
            await _one_prompt_is_new_once(served)
            await _a_killed_process(served)
            await _a_killed_embedded_server(served)


async def _one_prompt_is_new_once(served: Served) -> None:
    """What one process has sent to a worker, the others know to be there."""
    cold = 'warmroute_decisions_total{policy="expected_ttft",reason="cold"}'
    before = total((await served.get("/metrics")).text, cold)
    for _ in range(8):
        assert await served.ask("A prompt of many blocks. " * 400) == 200
        await asyncio.sleep(0.1)
    assert total((await served.get("/metrics")).text, cold) == before + 1


async def _a_killed_process(served: Served) -> None:
    """It is replaced, no request that comes later fails, and what it had counted stays counted."""
    before = served.children()
    os.kill(before[0], signal.SIGKILL)
    await until(lambda: _some(lambda: before[0] not in served.children()))  # its socket is open until it is gone
    assert [await served.ask() for _ in range(5)] == [200] * 5
    await until(lambda: _all_serve(served))
    assert len(set(served.children()) - set(before)) == 1
    assert total((await served.get("/metrics")).text, "warmroute_requests_total") == 33


async def _a_killed_embedded_server(served: Served) -> None:
    (before,) = served.children("valkey")
    os.kill(before, signal.SIGKILL)
    for _ in range(20):
        assert await served.ask() == 200
        await asyncio.sleep(0.02)
    await until(lambda: _some(lambda: len(set(served.children("valkey")) - {before}) == 1))
    assert await served.ask() == 200


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process are Linux'")
async def test_a_supervisor_without_descriptors_keeps_what_runs_and_starts_the_rest_later() -> None:
    with EngineThread(model="m") as engine:
        async with supervised("--worker", engine.url) as served:
            assert [await served.ask() for _ in range(8)] == [200] * 8
            await served.get("/metrics")
            supervisor, ended = served.process.pid, (served.children()[0], *served.children("valkey"))
            limits = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
            resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (5, limits[1]))
            for pid in ended:
                os.kill(pid, signal.SIGKILL)
            await until(lambda: _some(lambda: not {pid for pid, _, _ in processes()} & set(ended)))
            await asyncio.sleep(1)  # long enough for two starts to fail
            assert served.process.returncode is None and len(served.children("")) == 1
            assert [await served.ask() for _ in range(5)] == [200] * 5
            resource.prlimit(supervisor, resource.RLIMIT_NOFILE, limits)
            await until(lambda: _all_serve(served))
            await until(lambda: _some(lambda: len(served.children("valkey")) == 1))
            assert total((await served.get("/metrics")).text, "warmroute_requests_total") >= 13


async def test_a_stopped_process_does_not_fail_the_scrape() -> None:
    with EngineThread(model="m") as engine:
        async with supervised("--worker", engine.url) as served:
            await served.get("/metrics")
            stopped = served.children()[0]
            os.kill(stopped, signal.SIGSTOP)
            try:
                pages = await asyncio.gather(*(served.get("/metrics", 3) for _ in range(8)), return_exceptions=True)
            finally:
                os.kill(stopped, signal.SIGCONT)
            counts = Counter(type(page).__name__ for page in pages)
            assert counts["Response"] > 0  # the others reached the stopped process itself


async def test_sigterm_drains_all_and_ends_with_0() -> None:
    with EngineThread(model="m") as engine:
        async with supervised("--worker", engine.url) as served:
            engine.fault("slow", delay_s=0.15, path=CHAT)
            asking = [asyncio.create_task(served.ask()) for _ in range(6)]
            await engine.settles(requests=6)
            pids = served.children("")
            served.process.send_signal(signal.SIGTERM)
            assert await asyncio.gather(*asking) == [200] * 6
            assert await asyncio.wait_for(served.process.wait(), 20) == 0
            assert not {pid for pid, _, _ in processes()} & set(pids)


async def test_a_second_signal_does_not_wait() -> None:
    with EngineThread(model="m") as engine:
        async with supervised("--worker", engine.url) as served:
            engine.fault("hang_before", path=CHAT)
            asking = asyncio.create_task(served.ask())
            await until(lambda: _some(lambda: engine.state()["requests"] > 0))
            served.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
            assert served.process.returncode is None
            served.process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(served.process.wait(), 10) == 0
            with suppress(httpx.TransportError):
                await asking


async def test_nothing_outlives_a_killed_supervisor() -> None:
    with EngineThread(model="m") as engine:
        async with supervised("--worker", engine.url) as served:
            pids = set(served.children(""))
            assert len(pids) == PROCESSES + 1  # and the embedded server
            served.process.kill()
            await until(lambda: _some(lambda: not {pid for pid, _, _ in processes()} & pids), 10)


async def _some(condition: Callable[[], bool]) -> bool:
    return condition()


async def test_what_can_never_start_is_given_up() -> None:
    no_key = str(Path(__file__))
    flags = ("--tls-certificate", no_key, "--tls-key", no_key)
    command = [sys.executable, "-m", "router", "serve", "--processes", "2", "--worker", "http://127.0.0.1:1"]
    process = await asyncio.create_subprocess_exec(
        *command, "--port", str(ports(1)[0]), *flags, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), 40)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 1
    assert b"giving up" in said
