"""What is wrong between settings, by the field that is told."""

from pathlib import Path
from typing import Any

import pytest

from router.clients.key_hash import key_digest
from router.dial.allow import read_rule
from router.settings import Secret, Settings
from router.settings.conflicts import conflicts

RULES = (read_rule("10.0.0.1"),)
KEY = Secret("k")


def told(**fields: Any) -> list[str]:
    return [field for field, _ in conflicts(Settings(**{"workers": ("http://a",), **fields}))]


def test_workers_have_to_come_from_somewhere() -> None:
    assert told(workers=()) == ["workers"]
    assert told(workers=(), admin_api_key=KEY) == ["worker_allow"]
    assert told(workers=(), worker_file="f") == ["worker_allow"]
    assert told(workers=(), admin_api_key=KEY, worker_allow=RULES) == []
    assert told(workers=(), worker_dns=("http://a:1",)) == []
    assert told(workers=("http://a", "http://b", "http://a")) == ["workers"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"redis": "redis://a"}, ["redis"]),
        ({"redis": "redis://a", "index_secret": KEY}, []),
        ({"tls_certificate": "c"}, ["tls_certificate"]),
        ({"tls_key": "k"}, ["tls_key"]),
        ({"worker_tls_certificate": "c"}, ["worker_tls_certificate"]),
        ({"tls_certificate": "c", "tls_key": "k", "tls_client_ca": "a"}, []),
        ({"tls_client_ca": "a"}, ["tls_client_ca"]),
        ({"max_body_bytes": 2, "max_buffered_bytes": 1}, ["max_body_bytes"]),
        ({"max_body_bytes": 2, "max_buffered_bytes": 2}, []),
        ({"admin_api_key": KEY, "api_keys": (Secret("j"), KEY)}, ["admin_api_key"]),
        ({"admin_api_key": KEY, "api_keys": (Secret("j"),)}, []),
        ({"keys_file": "/nowhere"}, ["keys_file"]),
    ],
)
def test_what_does_not_go_together(fields: dict[str, Any], expected: list[str]) -> None:
    assert told(**fields) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"admin_api_key": KEY}, ["admin_api_key"]),
        ({"api_keys": (Secret("j"), KEY)}, ["api_keys"]),
        ({"api_keys": (Secret("j"),)}, []),
    ],
)
def test_a_key_of_the_keys_file_is_no_other_key(tmp_path: Path, fields: dict[str, Any], expected: list[str]) -> None:
    salt = bytes(16)
    digest = key_digest(salt, b"k").hex()
    path = tmp_path / "keys.toml"
    path.write_text(f'salt = "{salt.hex()}"\n[[key]]\nlabel = "team"\nhash = "{digest}"\n')
    assert told(keys_file=str(path), **fields) == expected
