"""An encode is counted with its length and its CPU time."""

from tests.tokenizer_cache.small import small
from tokenizer_cache.counters import Counters


def test_an_encode_is_counted() -> None:
    counters, tokenizer = Counters(), small("llama")
    text = "hello world " * 2000
    assert counters.timed(tokenizer, text) == tokenizer.encode(text)
    first = counters.encode_cpu_s
    assert first > 0
    assert counters.timed(tokenizer, "é", add_special_tokens=True) == tokenizer.encode("é", True)
    assert counters.encoded_bytes == len(text) + 1
    assert first < counters.encode_cpu_s < 2 * first
