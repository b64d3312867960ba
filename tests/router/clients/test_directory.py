"""Finding clients by their keys, and reading the file again."""

import hmac
import logging
from pathlib import Path

import pytest

from router.clients import Clients, KeysFileError
from tests.router.clients.clock import Clock
from tests.router.clients.files import table, write


def label(clients: Clients, authorization: str) -> str | None:
    found = clients.find(authorization.encode())
    return found.label if found is not None else None


def test_without_keys_everybody_is_anonymous() -> None:
    clients = Clients([], None, Clock())
    assert not clients.required
    assert label(clients, "") == label(clients, "Bearer x") == "anonymous"


def test_keys_of_the_settings_and_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", table("a", "key-a1", "key-a2"), table("b", "key-b"))
    clients = Clients(["plain"], path, Clock())
    assert clients.required
    found = [label(clients, f"Bearer {key}") for key in ("plain", "key-a1", "key-a2", "key-b")]
    assert found == ["default", "a", "a", "b"]
    assert label(clients, "key-b") == "b", "as x-api-key bears it"
    for wrong in ("", "Bearer", "Bearer ", "Bearer key-", "Bearer key-bb", "Basic key-b", "Bearer " + "x" * 60_000):
        assert label(clients, wrong) is None


def test_an_empty_file_lets_nobody_in(tmp_path: Path) -> None:
    clients = Clients([], write(tmp_path / "keys", "key = []"), Clock())
    assert clients.required
    assert label(clients, "Bearer x") is None


def test_every_key_costs_one_comparison_of_whole_hashes(tmp_path: Path) -> None:
    """Whether it is known, and whatever it has in common with a known one."""
    compared: list[tuple[int, int]] = []

    def equal(known: bytes, offered: bytes) -> bool:
        compared.append((len(known), len(offered)))
        return hmac.compare_digest(known, offered)

    tables = [table(f"c{number}", f"key-{number:04}") for number in range(200)]
    clients = Clients(["plain"], write(tmp_path / "keys", *tables), Clock(), equal)
    offered = ["plain", "key-0000", "key-0199", "key-0200", "key-000", "k", "", "x" * 10_000]
    for key in offered:
        clients.find(f"Bearer {key}".encode())
    assert compared == [(32, 32)] * len(offered)


async def test_a_changed_file_is_read_and_counters_stay(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", table("a", "key-a", more="requests_per_minute = 2"), table("b", "key-b"))
    clients = Clients(["plain"], path, Clock())
    client = clients.find(b"Bearer key-a")
    assert client is not None
    assert (client.enter(), client.enter()) == (None, None)
    await clients.look(path)
    assert clients.reloads == 0, "it has not changed"
    new = write(tmp_path / "new", table("a", "other", more="requests_per_minute = 3"), table("c", "key-c"))
    new.replace(path)
    await clients.look(path)
    found = [label(clients, f"Bearer {key}") for key in ("plain", "key-a", "other", "key-b", "key-c")]
    assert found == ["default", None, "a", None, "c"]
    assert clients.find(b"Bearer other") is client
    assert (client.enter() is None, client.enter() is None, client.in_flight) == (True, False, 3)
    assert (clients.reloads, clients.broken) == (1, False)


async def test_a_broken_or_missing_file_changes_nothing_and_is_complained_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "keys", table("a", "key-a"))
    clients = Clients([], path, Clock())
    path.write_text("salt = 'hush")
    with caplog.at_level(logging.ERROR):
        await clients.look(path)
        await clients.look(path)
        path.unlink()
        await clients.look(path)
        await clients.look(path)
    assert [record.getMessage().partition("keys stay: it ")[2] for record in caplog.records] == [
        "is not TOML (at end of document)",
        "cannot be read: No such file or directory",
    ]
    assert (label(clients, "Bearer key-a"), clients.broken) == ("a", True)
    await clients.look(write(path, table("b", "key-b")))
    assert (label(clients, "Bearer key-a"), label(clients, "Bearer key-b"), clients.broken) == (None, "b", False)


def test_a_file_that_is_broken_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeysFileError):
        Clients([], tmp_path / "absent", Clock())
