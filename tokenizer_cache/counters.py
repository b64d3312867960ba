"""What the encoders count, as plain numbers for the metrics."""

import time
from collections import Counter
from typing import Final

from tokenizer_cache.tokenizers.tokenizer import Tokenizer

SAMPLED_CHARS: Final = 4096
"""Of shorter texts one in `SAMPLED` is timed, and stands for as many: to read a thread's clock twice takes 4 us, which
is half of what a short text takes to encode."""
SAMPLED: Final = 16


class Counters:
    """Several threads add without a lock: a rare lost count is cheaper than one more lock per encode."""

    def __init__(self) -> None:
        self.encode_cpu_s = 0.0
        """CPU time within the tokenizer's own encode call."""
        self._untimed = 0
        """Short texts since the last one that was timed."""
        self.encoded_bytes = 0
        """Characters given to the tokenizer, about bytes."""
        self.hits: Counter[str] = Counter()
        """Prompts by how they were encoded: `tail`, `full_prefix`, `cold`, `ids`, `text`."""
        self.verified = 0
        """Tails that were compared with the full rendering and agreed."""
        self.failed = 0
        """Kinds of tails that are no longer rendered alone, because one differed from the full rendering."""
        self.retracted = 0
        """Recognised beginnings that the rendering did not begin with: templates may rewrite earlier messages."""
        self.inexact: Counter[str] = Counter()
        """Prompts that became chunks of text, by reason."""

    def timed(self, tokenizer: Tokenizer, text: str, add_special_tokens: bool = False) -> list[int]:
        """Encode `text`, and count its time and length."""
        self.encoded_bytes += len(text)
        weight = 1
        if len(text) < SAMPLED_CHARS:
            self._untimed += 1
            if self._untimed < SAMPLED:
                return tokenizer.encode(text, add_special_tokens)
            self._untimed, weight = 0, SAMPLED
        started = time.thread_time()
        ids = tokenizer.encode(text, add_special_tokens)
        self.encode_cpu_s += (time.thread_time() - started) * weight
        return ids
