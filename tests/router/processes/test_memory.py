"""Where processes of one supervisor share memory, and when they do not."""

import stat
from pathlib import Path

import pytest

from router.processes.memory import IN_MEMORY, journal_of, private_folder
from router.processes.process_config import ProcessConfig
from tokenizer_cache.conversations.journal import JournalEntry


def config(folder: Path, number: int = 0, count: int = 2) -> ProcessConfig:
    return ProcessConfig(number, count, folder, ())


def test_the_folder_is_private_and_in_memory_where_there_is_such_a_place() -> None:
    folder = private_folder()
    try:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert (IN_MEMORY in folder.parents) == IN_MEMORY.is_dir()
    finally:
        folder.rmdir()


def test_a_single_process_and_one_whose_folder_is_on_disk_tell_nobody(tmp_path: Path) -> None:
    assert journal_of(None) is None
    assert journal_of(config(IN_MEMORY / "x", count=1)) is None
    assert journal_of(config(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []


def test_no_memory_is_a_warning_and_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    assert journal_of(config(IN_MEMORY / "no such folder")) is None
    assert "no shared memory" in caplog.text


@pytest.mark.skipif(not IN_MEMORY.is_dir(), reason="this system keeps no files in memory")
def test_siblings_find_each_other() -> None:
    folder = private_folder()
    try:
        one, other = journal_of(config(folder, 0)), journal_of(config(folder, 1))
        assert one is not None
        assert other is not None
        got: list[bytes] = []
        other.join(b"t", lambda entry: got.append(entry.key))
        one.append(JournalEntry(b"t", b"key", b"", b"", b"", b"", 1, 1, b"", "", None, None))
        other.poll()
        assert got == [b"key"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
