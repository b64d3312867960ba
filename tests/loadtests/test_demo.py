"""The demo: everything comes up, answers, and nothing stays behind."""

import asyncio
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import httpx
import pytest

from loadtests.ports import ports

ROOT = Path(__file__).parents[2]
JSON = {"content-type": "application/json"}


async def start(*flags: str) -> Process:
    port = ports(1)[0]
    command = [sys.executable, "-m", "loadtests.demo", "--port", str(port), *flags]
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE, stderr=PIPE)


def children(process: Process) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.timeout(120)
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds processes in /proc")
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
        body = re.findall(r"-d '(.*)'", shown)[0]
        async with httpx.AsyncClient(timeout=20) as client:
            answer = await client.post(f"{url}/chat/completions", content=body, headers=JSON)
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"]
        assert int(answer.headers["x-warmroute-prompt-tokens"]) > 0
    finally:
        process.send_signal(signal.SIGINT)
        _, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    assert len(started) == 3
    assert not any(is_running(pid) for pid in started)


async def test_a_router_that_does_not_start_ends_the_demo() -> None:
    process = await start("--policy", "fastest")
    _, complaints = await process.communicate()
    assert process.returncode == 1
    assert b"--policy: must be one of" in complaints
    assert b"demo: the router ended" in complaints
