"""How keys are stored: as a keyed hash, with one salt for a whole file.

Keys are random and long, so trying all of them is impossible, however fast the hash is: a slow hash (as for passwords)
would only burn CPU on every request. One salt per file keeps the cost of a request at one hash, whatever the number of
keys. It also makes equal keys of two files look different, and makes precomputed tables useless.
"""

import hashlib
import secrets

MIN_KEY_CHARACTERS = 20
"""A shorter key may be a word that a person chose: a fast hash would not protect it."""
SALT_BYTES = 16
DIGEST_BYTES = 32


def new_salt() -> str:
    """A salt for a new keys file, in hex."""
    return secrets.token_hex(SALT_BYTES)


def new_key() -> str:
    """A random key of 256 bits."""
    return "wr-" + secrets.token_urlsafe(32)


def key_digest(salt: bytes, key: bytes) -> bytes:
    """The hash of `key`; 32 bytes. About 1 us."""
    return hashlib.blake2b(key, digest_size=DIGEST_BYTES, key=salt).digest()


def derived_salt(salt: bytes, own: str, asked: bytes) -> str:
    """The cache salt that engines get for a client with a salt in the keys file (`own`): without the file it cannot be
    guessed. `asked` is the salt that the client sent itself, if any: it separates prompts within the client's cache. 32
    hex characters, as vLLM accepts them."""
    parts = own.encode() + b"\0" + asked
    return hashlib.blake2b(parts, digest_size=16, key=salt, person=b"cache salt").hexdigest()
