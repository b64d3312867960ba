"""What a session needs of a worker's KV memory, as far as can be told from its prompt's chain.

Every n-th hash of the chain is an *anchor*. Two prompts with an equal anchor share all that comes before it, so the
anchors of several sessions, counted once, are the memory that they need together: 1,024 tokens exact, at an eighth of
a byte a token.
"""

from collections.abc import Sequence
from typing import NamedTuple

from router.prefix.index import HASH_BYTES
from tokenizer_cache.prompt import Prompt

ANCHOR_TOKENS = 1024
"""Tokens between two anchors, about. Danger: a shared beginning counts for every session with its last part, which is
shorter than this."""
CLOSING_TOKENS = 16
"""The last tokens of a prompt, in which templates open the answer. The next prompt may render them differently, so that
they say nothing of whose turn it is. Danger: with 0, one turn in some twenty of models with dropped reasoning looks
like a new session."""


class Footprint(NamedTuple):
    """The memory that one prompt needs."""

    anchors: list[bytes]
    """The anchors of its known part, from its start on."""
    anchor_tokens: int
    """Tokens from one anchor to the next."""
    tokens: int
    """Tokens of the whole prompt and its answer."""


def footprint_of(prompt: Prompt, before: Sequence[bytes] = (), answer_tokens: int = 0) -> Footprint:
    """The footprint of a prompt and its answer. The prompt may extend another one, whose anchors are `before`."""
    stride = max(1, ANCHOR_TOKENS // prompt.block_tokens)
    step, chain = stride * HASH_BYTES, prompt.chain
    first = (len(before) + 1) * step
    anchors = [chain[end - HASH_BYTES : end] for end in range(first, whole_blocks(prompt) * HASH_BYTES + 1, step)]
    return Footprint([*before, *anchors], stride * prompt.block_tokens, prompt.tokens + answer_tokens)


def whole_blocks(prompt: Prompt) -> int:
    """Number of whole, exact blocks that each prompt which extends this one must have too."""
    lasting = (prompt.tokens - CLOSING_TOKENS) // prompt.block_tokens
    return max(0, min(prompt.known_blocks, lasting, len(prompt.chain) // HASH_BYTES))


def leaf_of(prompt: Prompt) -> bytes:
    """The hash by which the next prompt is known to extend this one; empty for less than a block.

    The length of a text prompt is an estimate, which may fall from turn to turn: its leaf is its last known block."""
    known = min(prompt.known_blocks, len(prompt.chain) // HASH_BYTES)
    end = (whole_blocks(prompt) if prompt.exact else known) * HASH_BYTES
    return prompt.chain[max(0, end - HASH_BYTES) : end]
