"""The demo: everything comes up, answers, and nothing stays behind."""

import asyncio
import re
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import httpx
import pytest

from loadtests.ports import ports

ROOT = Path(__file__).parents[2]


async def start(*flags: str) -> Process:
    port = ports(1)[0]
    command = [sys.executable, "-m", "loadtests.demo", "--port", str(port), *flags]
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE, stderr=PIPE)


def children(process: Process) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.timeout(180)
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds processes in /proc")
@pytest.mark.skipif(shutil.which("curl") is None, reason="the commands that are shown use curl")
async def test_it_answers_and_ctrl_c_stops_everything() -> None:
    process = await start()
    try:
        assert process.stdout is not None
        shown = ""
        while "Ctrl-C" not in shown:
            line = await process.stdout.readline()
            assert line, shown
            shown += line.decode()
        started = children(process)
        url = re.findall(r"base_url +(\S+)", shown)[0]
        (last,) = re.findall(r"(?m)^ +all +[\d,]+ +(\d+)% .* ms +(\d+)% ", shown)
        assert int(last[0]) > int(last[1])
        commands = shown.partition("ask() {")[2].partition("Ctrl-C")[0]
        tried = await asyncio.create_subprocess_exec("bash", "-c", "ask() {" + commands, stdout=PIPE)
        headers = (await tried.communicate())[0].decode()
        first, second = map(int, re.findall(r"x-warmroute-cached-tokens: (\d+)", headers))
        assert first == 0
        assert second > 900
        async with httpx.AsyncClient(timeout=20) as client:
            page = await client.get(
                url.removesuffix("/v1") + "/admin/status", headers={"x-warmroute-admin-key": "demo"}
            )
        assert page.json()["savings"][0]["policies"][1]["policy"] == "round_robin"
    finally:
        process.send_signal(signal.SIGINT)
        _, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    assert len(started) == 3
    assert not any(is_running(pid) for pid in started)


@pytest.mark.timeout(120)
async def test_a_router_that_does_not_start_ends_the_demo() -> None:
    process = await start("--no-show", "--policy", "fastest")
    _, complaints = await process.communicate()
    assert process.returncode == 1
    assert b"--policy: must be one of" in complaints
    assert b"demo: the router ended" in complaints
