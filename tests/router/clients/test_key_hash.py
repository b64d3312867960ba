"""Hashes of keys, and what is derived from a file's salt."""

from router.clients.key_hash import MIN_KEY_CHARACTERS, derived_salt, key_digest, new_key, new_salt


def test_hash_depends_on_key_and_salt() -> None:
    one, two = bytes.fromhex(new_salt()), bytes.fromhex(new_salt())
    assert key_digest(one, b"key") == key_digest(one, b"key")
    assert len({key_digest(salt, key) for salt in (one, two) for key in (b"key", b"kez")}) == 4


def test_new_keys_are_random_long_and_fit_a_header() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.isascii() and key.isprintable() and len(key) >= 2 * MIN_KEY_CHARACTERS for key in keys)


def test_derived_salt_separates_clients_and_their_own_salts() -> None:
    file_salt = bytes.fromhex(new_salt())
    found = {derived_salt(file_salt, own, asked) for own in ("a", "b") for asked in (b"", b"x", b"a", b"b")}
    assert len(found) == 8
    assert derived_salt(file_salt, "a", b"b") != derived_salt(file_salt, "ab", b"")
    assert all(salt.isalnum() and len(salt) == 32 for salt in found), "vLLM refuses @ / \\ NUL and over 128 characters"
