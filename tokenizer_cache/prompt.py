"""From a request's raw bytes to its prompt: token count and block chain.

Nouns: a *prompt* is what the engine will see (token ids plus identity); a *block* is a fixed run of token ids hashed
together with its parent; a *chain* is the hashes of a prompt's blocks, 8 bytes each, joined. A *format* is everything
that decides which ids a request gives: engine, tokenizer, template, block size. This package knows neither the router
nor the policies.
"""

import msgspec


class BadRequest(ValueError):
    """The request cannot be read: a client's fault, answered 400 in the style of the API that was called."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class Prompt(msgspec.Struct, frozen=True):
    """A prompt as it is known at this moment: first recognised (partly estimated), later encoded (exact, where
    possible)."""

    chain: bytes
    """8-byte hashes of the full blocks. The first `known_blocks` are exact. The rest stand for the unseen tail and are
    estimated from its bytes (about one hash per `block_tokens` tokens): they match only equal tails that are in
    flight."""
    known_blocks: int
    tokens: int
    """Length in tokens: exact when `exact`, else known part + estimate."""
    block_tokens: int
    exact: bool
    """True when the ids equal what the engine sees. False when they are estimated, or when only text chunks exist."""
    source: str
    """Where the ids came from, a metric label: `ids`, `conversation`, `encoded`, `estimate`, `worker`, `text`."""
    ids: bytes = b""
    """The ids themselves, packed as u32, where they are exact and kept (see `Conversations`); else empty."""
    teachable: bool = True
    """False where the engine's cached-token count says nothing (several prompts, prompt logprobs)."""
    ask: bool = False
    """True when only the worker knows the ids: the router asks it after dispatch."""
