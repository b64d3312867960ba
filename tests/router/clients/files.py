"""Keys files for tests."""

from pathlib import Path

from router.clients.key_hash import key_digest

SALT = "000102030405060708090a0b0c0d0e0f"


def hash_of(key: str) -> str:
    return key_digest(bytes.fromhex(SALT), key.encode()).hex()


def table(label: str, *keys: str, more: str = "") -> str:
    """One `[[key]]` table; `more` are further lines."""
    hashes = ", ".join(f'"{hash_of(key)}"' for key in keys)
    return f'[[key]]\nlabel = "{label}"\nhash = [{hashes}]\n{more}\n'


def write(path: Path, *tables: str) -> Path:
    """Write the file, and return its path."""
    path.write_text(f'salt = "{SALT}"\n' + "".join(tables))
    return path
