"""Text for traces that have none: equal block hashes become equal text, of about as many tokens as were recorded.

A block is 64 words of four bytes, each a single token for nearly every tokenizer. What must not be broken: two prompts
have in common, from their beginning, what their chains have in common, and nothing after it.
"""

from collections.abc import Iterator

import numpy as np

from loadtests.engine.byte_tokens import WORDS
from loadtests.engine.chains import pseudo_random
from loadtests.laboratory.traces.script import BLOCK_TOKENS, Script, Turn

_WORDS = np.frombuffer("".join(WORDS).encode(), dtype="<u4")
_TAIL = 0x7A11
"""Makes the words of a prompt's last, incomplete block others than those of a whole one."""


class _Message:
    def __init__(self, role: str, hashes: list[int]) -> None:
        self.role = role
        self.texts = [_words(block, BLOCK_TOKENS) for block in hashes]

    def content(self, tail: str = "") -> str:
        return "".join(self.texts) + tail


def messages(script: Script) -> Iterator[list[dict[str, str]]]:
    """The messages of each turn: the shared beginning as system prompt, and what is new at each turn as the answer
    before it (as many blocks as it had, if there are as many) and the next question."""
    kept: list[_Message] = []
    last: Turn | None = None
    for turn in script.turns:
        kept = _cut(kept, turn.keep)
        kept += _added(turn, script.shared_blocks, last)
        last = turn
        spare = turn.prompt_tokens - turn.blocks * BLOCK_TOKENS
        tail = _words(int(turn.new[-1] if len(turn.new) else turn.blocks) ^ _TAIL, spare) if spare > 0 else ""
        said = [{"role": message.role, "content": message.content()} for message in kept[:-1]]
        role, content = (kept[-1].role, kept[-1].content(tail)) if kept else ("user", tail)
        yield [*said, {"role": role, "content": content or " the"}]


def _cut(kept: list[_Message], blocks: int) -> list[_Message]:
    """The first `blocks` blocks of the messages."""
    found: list[_Message] = []
    for message in kept:
        if not blocks:
            break
        message.texts = message.texts[:blocks]
        blocks -= len(message.texts)
        found.append(message)
    return found


def _added(turn: Turn, shared_blocks: int, last: Turn | None) -> list[_Message]:
    new = turn.new.tolist()
    first, role = shared_blocks - turn.keep, "system"
    if last is not None and turn.keep:
        first, role = min(last.answer_tokens // BLOCK_TOKENS, len(new) - 1), "assistant"
    first = max(0, first)
    parts = [_Message(role, new[:first]), _Message("user", new[first:])]
    return [message for message in parts if message.texts]


def _words(seed: int, count: int) -> str:
    picked = (pseudo_random(seed, count) % np.uint64(len(_WORDS))).astype(np.intp)
    return _WORDS[picked].tobytes().decode("ascii")
