"""The locustfile as its users run it: a process of its own, against an emulated engine."""

import json
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from loadtests.laboratory.replay.record import NAN, Record, Usage
from loadtests.laboratory.replay.summary import Slo
from loadtests.ports import ports
from tests.engines import EngineProcess
from tests.loadtests.laboratory.replay.test_command import log

# Not imported: locust patches threads and sockets, here and in all tests that come after.
needs_locust = pytest.mark.skipif(find_spec("locust") is None, reason="needs the extra `loadtest`")
pytestmark = [pytest.mark.integration, needs_locust]
FILE = Path(__file__).parents[2] / "loadtests" / "locustfile.py"


def command(tmp_path: Path, host: str, *more: str) -> list[str]:
    flags = ["--traces", str(log(tmp_path / "l.jsonl")), "--host", host, "--max-think-s", "0.1", "--skip-turns", "1"]
    return [sys.executable, "-m", "locust", "-f", str(FILE), *flags, *more]


def run(tmp_path: Path, host: str, *more: str) -> "subprocess.CompletedProcess[str]":
    headless = [*command(tmp_path, host, "--headless", "-u", "3", "-r", "10"), *more]
    return subprocess.run(headless, check=False, capture_output=True, text=True, timeout=50)


def test_a_run_prints_exact_times(tmp_path: Path) -> None:
    with EngineProcess() as engine:
        ran = run(tmp_path, engine.url, "-t", "2s", "--stop-timeout", "5")
    assert ran.returncode == 0, ran.stderr
    assert "Exact times, without the first 1 of each session" in ran.stdout
    assert re.search(r"\| time to first token \| \d+\.\d ms \|", ran.stdout)
    assert re.search(r"\| hit rate, as the answers report it \| [5-9]\d\.\d\d % \|", ran.stdout)
    assert re.search(r"POST +chat +\d+ +0\(0.00%\)", ran.stderr)


def test_what_cannot_be_read_ends_the_run(tmp_path: Path) -> None:
    ran = run(tmp_path, "http://127.0.0.1:9", "-t", "5s", "--traces", str(tmp_path / "none.jsonl"))
    assert ran.returncode == 2
    assert "none.jsonl" in ran.stderr


def test_the_web_ui_has_them_too(tmp_path: Path) -> None:
    (port,) = ports(1)
    base = f"http://127.0.0.1:{port}"
    with EngineProcess() as engine:
        flags = ["--web-host", "127.0.0.1", "--web-port", str(port)]
        child = subprocess.Popen(command(tmp_path, engine.url, *flags), stderr=subprocess.DEVNULL)
        try:
            assert "Exact times" in text(base)
            urlopen(Request(f"{base}/swarm", b"user_count=2&spawn_rate=5"), timeout=5).close()
            rows: list[dict[str, str]] = []
            while not rows or rows[-2]["p50"] in ("0", "1", "2"):
                (shown,) = json.loads(text(f"{base}/stats/requests"))["extended_stats"]
                rows = shown["data"]
                time.sleep(0.1)
        finally:
            child.terminate()
            child.wait()
    assert rows[0]["measure"] == "Time to first token" and rows[0]["p99"].endswith(" ms")


def text(url: str) -> str:
    """Of a page, as soon as somebody answers."""
    give_up = time.monotonic() + 30
    while True:
        try:
            with urlopen(url, timeout=5) as response:
                return str(response.read().decode())
        except OSError:
            assert time.monotonic() < give_up
            time.sleep(0.1)


def record(turn: int, ttft_s: float, **more: Any) -> Record:
    return Record("s", turn, 100.0, 100.0 + ttft_s, 102.0, **more)


def test_worker_processes_send_each_record_once() -> None:
    from loadtests.laboratory.replay.locust_exact import Exact

    worker, master = Exact(1, Slo()), Exact(1, Slo())
    assert master.summary() is None and master.rows() == []
    worker.add(record(0, 9.0))
    worker.add(record(1, 0.5, usage=Usage(100, 80, 5)))
    master.take(json.loads(json.dumps(worker.fresh())))
    worker.add(record(2, NAN, error="cut off"))
    master.take(worker.fresh())
    assert worker.fresh() == []
    found = master.summary()
    assert found and (found.requests, found.failed, found.ttft.max, found.hit_rate) == (2, 1, 0.5, 0.8)
    assert [row["p50"] for row in master.rows()[3:]] == ["80.00 %", "50.00 %", "2", "1"]
    master.forget()
    assert master.summary() is None
