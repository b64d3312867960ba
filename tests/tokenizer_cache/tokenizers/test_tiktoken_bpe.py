"""tiktoken in place of `tokenizers`: equal ids for any text, and never where that is not proved."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import tiktoken
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers

from tests.tokenizer_cache.small import SPECIAL, small_raw
from tokenizer_cache.tokenizers.tiktoken_bpe import TiktokenBpe, agree, byte_alphabet, tiktoken_twin

QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CLASSES = (r"\p{L}", r"\p{N}", r"\p{M}", r"\p{Lu}", r"\p{Ll}", r"\p{Lt}", r"\p{Lm}", r"\p{P}", r"\p{S}", r"\s")
LETTERS = tuple(f"(?i:{letter})" for letter in "sdmtrevl")
Change = Callable[[tokenizers.Tokenizer], object]


def like_qwen(change: Change = lambda raw: None) -> tokenizers.Tokenizer:
    raw = tokenizers.Tokenizer.from_str(small_raw().to_str())
    raw.normalizer = normalizers.NFC()
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(QWEN), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    change(raw)
    return raw


@cache
def both() -> list[tuple[tokenizers.Tokenizer, TiktokenBpe]]:
    raws = [like_qwen(), tokenizers.Tokenizer.from_str(small_raw().to_str())]
    quick = [tiktoken_twin(raw) for raw in raws]
    return [(raw, one) for raw, one in zip(raws, quick, strict=True) if one is not None]


def test_both_kinds_have_a_twin_that_agrees() -> None:
    assert len(both()) == 2
    assert all(agree(quick, raw) for raw, quick in both())


def test_a_twin_with_other_ids_does_not_agree() -> None:
    (raw, _), (_, plain) = both()
    assert not agree(plain, raw), "one cuts digits apart, the other does not"


PIECES = st.one_of(
    st.sampled_from(
        [*SPECIAL, "<|im_", "'s", "'LL", "'\u017f", "the user ", "  ", "\n\n", "\r\n ", "\t", "12", "e\u0301"]
    ),
    st.text(max_size=6),
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_any_text_gets_the_ids_that_tokenizers_gives(text: str) -> None:
    for raw, quick in both():
        ids = quick.encode(text)
        assert ids is None or ids == raw.encode(text, add_special_tokens=False).ids


def test_text_that_is_not_composed_is_left_alone() -> None:
    (_, composing), (_, plain) = both()
    assert composing.encode("e\u0301") is None
    assert plain.encode("e\u0301") is not None
    assert composing.encode("\u00e9 — ✓") is not None


def test_what_tiktoken_would_change_or_not_survive_is_left_alone() -> None:
    for _, quick in both():
        assert quick.encode("a \ud83d b") is None
        assert quick.encode(" " * 400_000) is None


CHANGES: dict[str, Change] = {
    "lowercase": lambda raw: setattr(raw, "normalizer", normalizers.Lowercase()),
    "another pre-tokenizer": lambda raw: setattr(raw, "pre_tokenizer", pre_tokenizers.Whitespace()),
    "two splits": lambda raw: setattr(
        raw,
        "pre_tokenizer",
        pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(r"\p{N}"), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=True)]
        ),
    ),
    "a construct not known": lambda raw: setattr(
        raw,
        "pre_tokenizer",
        pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(r"\p{Han}+|\X"), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
        ),
    ),
    "an added token that begins another": lambda raw: raw.add_tokens([AddedToken("<|im_start", normalized=False)]),
    "an added token that eats spaces": lambda raw: raw.add_tokens([AddedToken("<mask>", lstrip=True)]),
    "dropout": lambda raw: setattr(raw.model, "dropout", 0.1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_tokenizer_that_does_more_is_left_alone(name: str) -> None:
    assert tiktoken_twin(like_qwen(CHANGES[name])) is None


def merging(vocab: list[str], merges: list[tuple[str, str]], whole: bool = False) -> tokenizers.Tokenizer:
    numbers = {token: number for number, token in enumerate([*byte_alphabet(), *vocab])}
    raw = tokenizers.Tokenizer(models.BPE(numbers, merges, ignore_merges=whole))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return raw


def test_merges_out_of_order_are_left_alone() -> None:
    assert tiktoken_twin(merging(["ab", "bc"], [("a", "b"), ("b", "c")])) is not None
    assert tiktoken_twin(merging(["ab", "bc"], [("b", "c"), ("a", "b")])) is None


def test_a_token_that_merging_never_makes() -> None:
    """Alone it is a word that only some tokenizers look for; tiktoken always does."""
    vocab, merges = ["bc", "ab", "abc"], [("b", "c"), ("a", "b"), ("ab", "c")]
    assert tiktoken_twin(merging(vocab, merges)) is None
    assert tiktoken_twin(merging(vocab, merges, whole=True)) is None, "tiktoken would merge a and bc"
    listed = [("b", "c"), ("a", "b"), ("a", "bc"), ("ab", "c")]
    quick = tiktoken_twin(merging(vocab, listed, whole=True))
    assert quick is not None
    assert quick.encode("abc xabc") == merging(vocab, listed, whole=True).encode("abc xabc").ids


def test_the_model_is_left_as_it_was() -> None:
    raw = merging(["ab"], [("a", "b")], whole=True)
    before = raw.to_str()
    assert tiktoken_twin(raw) is not None
    assert json.loads(raw.to_str()) == json.loads(before)


@pytest.mark.slow
def test_the_libraries_know_the_same_characters() -> None:
    """Each reads classes of characters from tables of its own. A new release of either may know more characters."""
    every = "".join(chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000)
    ranks = {bytes([byte]): byte for byte in range(256)}
    for pattern in (*CLASSES, *LETTERS):
        encoding = tiktoken.Encoding("class", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        split: Any = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
        theirs = {char for char, _ in split.pre_tokenize_str(every)}
        assert set(bytes(encoding.encode_ordinary(every)).decode()) == theirs, pattern
