"""One page of several processes, whether they answer or not. Real processes: `test_supervisor`."""

import asyncio
from pathlib import Path

import pytest

from router.processes.process_config import ProcessConfig, ended_path, page_path
from router.processes.siblings import Siblings, fold, leave

PAGE = """\
# HELP warmroute_retries_total Attempts repeated.
# TYPE warmroute_retries_total counter
warmroute_retries_total {}.0
"""


def siblings(folder: Path, number: int, retries: int) -> Siblings:
    return Siblings(ProcessConfig(number, 2, folder, ()), lambda: PAGE.format(retries).encode())


def retries(page: bytes) -> float:
    (line,) = [line for line in page.decode().splitlines() if line.startswith("warmroute_retries_total")]
    return float(line.split()[-1])


async def test_the_page_is_the_sum_of_those_that_answer(tmp_path: Path) -> None:
    async with siblings(tmp_path, 0, 3) as one, siblings(tmp_path, 1, 4) as two:
        assert retries(await one.page()) == retries(await two.page()) == 7


async def test_of_one_that_does_not_answer_its_last_page_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with siblings(tmp_path, 0, 3) as one:
        assert retries(await one.page()) == 3
        leave(page_path(tmp_path, 1), PAGE.format(4).encode())
        assert retries(await one.page()) == 7
    assert "process 1 does not answer" in caplog.text


async def test_half_an_answer_is_none(tmp_path: Path) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(PAGE.format(40).encode()[:-1])
        writer.close()

    config = ProcessConfig(0, 2, tmp_path, ())
    async with await asyncio.start_unix_server(answer, config.socket_path(1)), siblings(tmp_path, 0, 3) as one:
        leave(page_path(tmp_path, 1), PAGE.format(4).encode())
        assert retries(await one.page()) == 7


async def test_counts_of_ended_processes_stay(tmp_path: Path) -> None:
    for number, last in ((1, 4), (1, 5), (0, 1)):
        leave(page_path(tmp_path, number), PAGE.format(last).encode())
        fold(tmp_path, number)
        assert not page_path(tmp_path, number).exists()
    fold(tmp_path, 0)  # it has left nothing since
    assert retries(ended_path(tmp_path).read_bytes()) == 10
    async with siblings(tmp_path, 0, 3) as one:
        assert retries(await one.page()) == 13


async def test_a_socket_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "0.sock").write_text("")
    async with siblings(tmp_path, 0, 3), siblings(tmp_path, 1, 4) as two:
        assert retries(await two.page()) == 7


def test_a_page_is_replaced_whole(tmp_path: Path) -> None:
    leave(tmp_path / "0.page", b"one")
    leave(tmp_path / "0.page", b"two")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("0.page", b"two")]
