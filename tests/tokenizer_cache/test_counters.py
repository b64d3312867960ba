"""An encode is counted with its length and its CPU time."""

import time

import pytest

from tests.tokenizer_cache.small import small
from tokenizer_cache.counters import SAMPLED, Counters


def test_an_encode_is_counted() -> None:
    counters, tokenizer = Counters(), small("llama")
    text = "hello world " * 2000
    assert counters.timed(tokenizer, text) == tokenizer.encode(text)
    first = counters.encode_cpu_s
    assert first > 0
    assert counters.timed(tokenizer, "é", add_special_tokens=True) == tokenizer.encode("é", True)
    assert counters.encoded_bytes == len(text) + 1
    assert first <= counters.encode_cpu_s < 2 * first


def test_of_short_texts_one_in_some_is_timed_and_stands_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    counters, tokenizer, looks = Counters(), small("llama"), iter(range(1000))
    monkeypatch.setattr(time, "thread_time", lambda: float(next(looks)))
    for _ in range(3 * SAMPLED + 1):
        assert counters.timed(tokenizer, "hello") == tokenizer.encode("hello")
    assert next(looks) == 2 * 3
    assert counters.encode_cpu_s == 3 * SAMPLED
