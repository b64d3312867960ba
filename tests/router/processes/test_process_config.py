"""What the supervisor hands over, whole or not at all; and a process that notices when it is left alone."""

import asyncio
import io
import os
from pathlib import Path

import pytest

from router.processes.process_config import (
    CHANNEL_FD,
    ProcessConfig,
    ended_path,
    on_orphaned,
    packed,
    page_path,
    unpacked,
)
from router.settings import Secret, Settings

CONFIG = ProcessConfig(1, 3, Path("/private"), ())
SETTINGS = Settings(workers=("http://a",), admin_api_key=Secret("hush"))


def test_what_is_packed_is_unpacked_and_no_byte_more_is_read() -> None:
    channel = io.BytesIO(packed(SETTINGS, CONFIG) + b"more")
    assert unpacked(channel) == (SETTINGS, CONFIG)
    assert channel.read() == b"more"


@pytest.mark.parametrize("size", [0, 3, 4])
def test_a_supervisor_that_ended_before_is_noticed(size: int) -> None:
    with pytest.raises(EOFError):
        unpacked(io.BytesIO(packed(SETTINGS, CONFIG)[:size]))


def test_each_process_has_its_own_socket_and_page() -> None:
    paths = [CONFIG.socket_path(0), CONFIG.socket_path(1), page_path(CONFIG.folder, 0), page_path(CONFIG.folder, 1)]
    assert len({*paths, ended_path(CONFIG.folder)}) == 5
    assert {path.parent for path in paths} == {CONFIG.folder}


async def test_the_end_of_the_channel_is_told_once() -> None:
    reads, writes = os.pipe()
    kept = os.dup(CHANNEL_FD)
    os.dup2(reads, CHANNEL_FD)
    try:
        told: list[bool] = []
        on_orphaned(lambda: told.append(True))
        os.write(writes, b"xy")
        await asyncio.sleep(0.01)
        assert not told, "a word is no end"
        os.close(writes)
        async with asyncio.timeout(5):
            while not told:
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        assert told == [True]
    finally:
        os.dup2(kept, CHANNEL_FD)
        os.close(kept)
        os.close(reads)
