"""The keys file: what it may hold, and that a wrong one is refused with its place and without its secrets."""

from pathlib import Path

import pytest

from router.clients.keys_file import KeysFileError, read_keys_file
from tests.router.clients.files import SALT, hash_of, table, write

FULL = """
requests_per_minute = 600
uncached_tokens_per_minute = 200_000
max_concurrency = 8
cache_salt = "a"
models = ["m"]
expires = 2027-01-01T00:00:00+01:00
weight = 2
"""


def test_everything_that_a_client_may_have(tmp_path: Path) -> None:
    file = read_keys_file(write(tmp_path / "keys", table("full", "k1", "k2", more=FULL), table("plain", "k3")))
    full, plain = file.key
    assert [digest.hex() for digest in full.digests] == [hash_of("k1"), hash_of("k2")]
    assert (full.requests_per_minute, full.uncached_tokens_per_minute, full.max_concurrency) == (600, 200_000, 8)
    assert (full.cache_salt, full.models, full.weight, full.expires_at) == ("a", ["m"], 2.0, 1798758000.0)
    assert (plain.requests_per_minute, plain.models, plain.weight, plain.expires_at) == (None, None, 1.0, float("inf"))


HASH = f'hash = "{hash_of("k")}"'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "missing required field `salt`"),
        ('salt = "ab"\nkey = []', "salt"),
        (f'salt = "{SALT}"', "missing required field `key`"),
        (f'salt = "{SALT}"\nkey = 3', "key: Expected `array`"),
        (f'salt = "{SALT}"\nkeys = []\nkey = []', "unknown field `keys`"),
        ("= 3", "is not TOML (at line 1, column 1)"),
        ('hush = "hush', "is not TOML"),
        ("a = 1\na = 1", "is not TOML"),
    ],
)
def test_broken_file(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(KeysFileError) as caught:
        read_keys_file(path)
    assert complaint in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (HASH, "key 1: Object missing required field `label`"),
        ('label = "a b"\n' + HASH, "key a b: label: "),
        (f'label = "{"x" * 65}"\n' + HASH, "key 1: label: "),
        ("label = 3\n" + HASH, "key 1: label: Expected `str`"),
        ('label = "a"', "key a: Object missing required field `hash`"),
        ('label = "a"\nhash = "hush"', "key a: hash: is not of the right form"),
        ('label = "a"\nhash = ["hush"]', "key a: hash[0]: is not of the right form"),
        ('label = "a"\nhash = []', "key a: hash: Expected `array` of length >= 1"),
        ('label = "a"\nweigth = 1\n' + HASH, "key a: Object contains unknown field `weigth`"),
        ('label = "a"\nweight = 0\n' + HASH, "key a: weight: Expected `float` >= 0.01"),
        ('label = "a"\nweight = nan\n' + HASH, "key a: weight: Expected `float` >= 0.01"),
        ('label = "a"\nweight = "2"\n' + HASH, "key a: weight: Expected `float`"),
        ('label = "a"\nrequests_per_minute = 0\n' + HASH, "key a: requests_per_minute: Expected `int` >= 1"),
        ('label = "a"\nrequests_per_minute = 1.5\n' + HASH, "key a: requests_per_minute: Expected `int"),
        ('label = "a"\nuncached_tokens_per_minute = -1\n' + HASH, "key a: uncached_tokens_per_minute: "),
        ('label = "a"\nmax_concurrency = true\n' + HASH, "key a: max_concurrency: "),
        ('label = "a"\ncache_salt = ""\n' + HASH, "key a: cache_salt: "),
        ('label = "a"\nmodels = []\n' + HASH, "key a: models: "),
        ('label = "a"\nmodels = "m"\n' + HASH, "key a: models: "),
        ('label = "a"\nexpires = "soon"\n' + HASH, "key a: expires must be a date"),
        ('label = "a"\nexpires = 2027-01-01T00:00:00\n' + HASH, "key a: expires must be a date"),
        ('label = "default"\n' + HASH, "key default: the router uses this label itself"),
        ('label = "anonymous"\n' + HASH, "key anonymous: the router uses this label itself"),
    ],
)
def test_a_wrong_key_is_refused_without_its_secrets(tmp_path: Path, lines: str, complaint: str) -> None:
    with pytest.raises(KeysFileError) as caught:
        read_keys_file(write(tmp_path / "keys", f"[[key]]\n{lines}\n"))
    assert complaint in str(caught.value)
    assert "hush" not in str(caught.value)
    assert hash_of("k") not in str(caught.value)


def test_labels_and_hashes_are_there_once(tmp_path: Path) -> None:
    with pytest.raises(KeysFileError, match="key a: the label is used twice"):
        read_keys_file(write(tmp_path / "keys", table("a", "k1"), table("a", "k2")))
    with pytest.raises(KeysFileError, match="key b: the same hash is given twice"):
        read_keys_file(write(tmp_path / "keys", table("a", "k1"), table("b", "k1")))
    with pytest.raises(KeysFileError, match="key a: the same hash is given twice"):
        read_keys_file(write(tmp_path / "keys", table("a", "k1", "k1")))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(KeysFileError, match="cannot be read: No such file"):
        read_keys_file(tmp_path / "absent")
    with pytest.raises(KeysFileError, match="cannot be read: Is a directory"):
        read_keys_file(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(KeysFileError, match="is not UTF-8"):
        read_keys_file(tmp_path / "binary")
    (tmp_path / "deep").write_text("a = " + "[" * 100_000)
    with pytest.raises(KeysFileError):
        read_keys_file(tmp_path / "deep")
