"""Encodes with tiktoken in place of `tokenizers`, in a fifth of the time, where the two are proved to give the same
ids.

Both merge the pair of lowest rank first. tiktoken ranks a pair by the id of the token that it makes, `tokenizers` by
its place in a list of merges. They agree if that list is in the order of those ids and every token, encoded alone,
becomes itself: in any text, the span of a token that is about to be made has gone through the states that it goes
through alone, so tiktoken makes it only of the pair that the list has. What must not be broken: text that is not known
to give the same ids in both libraries is left to `tokenizers`.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import tiktoken
import tokenizers

_MAX_CHARS: Final = 1 << 18
"""Longer texts are left alone: tiktoken panics at 330,000 spaces in a row."""
_PLAIN_PATTERN: Final = re.compile(
    r"(?:\\p\{(?:L|N|M|P|S|Lu|Ll|Lt|Lm|Lo)\}|\\[rnsS]|\(\?[i!]?:?|[])|' /A-Za-z-]|\[\^?|(?:[?*+]|\{1,3\})(?![?*+]))+"
)
"""Patterns of classes that both libraries' regular expressions know, and read alike (a test compares every
character)."""
_GPT2: Final = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""What the pre-tokenizer `ByteLevel` does by itself."""
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_CHECKED_AT_ONCE: Final = 1000
_PROBES: Final = (
    "I'Ll say: it's 12345 o'clock, DON'T  wait\n\n\n  x = {'a': [1, 2.50]}\t\t# Ünïcode — “quoted” …\r\n",
    "def f(a,b):\n    return a+b  \n        \u3000全角。中文字符 हिन्दी ภาษาไทย \U0001f469\u200d\U0001f467",
    "½ Ⅷ '\u017f\u2028\x85\x1c\x0b १२३",
)


class TiktokenBpe:
    """A byte-level BPE as tiktoken reads it. Safe in several threads at once."""

    def __init__(self, encoding: tiktoken.Encoding, composes: bool) -> None:
        self._encoding = encoding
        self._composes = composes
        """True when the tokenizer normalises to NFC first; text that is not in NFC is left to `tokenizers`."""
        added = sorted(encoding.special_tokens_set)
        self._added = re.compile("|".join(map(re.escape, added))) if added else None

    def encode(self, text: str) -> list[int] | None:
        """Ids without those that are added around every text; None where they might differ from `tokenizers`."""
        if len(text) > _MAX_CHARS or not (text.isascii() or self._is_plain(text)):
            return None
        found = self._added.findall(text) if self._added is not None else None
        if not found:
            return self._encoding.encode_ordinary(text)
        return self._encoding.encode(text, allowed_special=frozenset(found), disallowed_special=())

    def _is_plain(self, text: str) -> bool:
        return not ((self._composes and not unicodedata.is_normalized("NFC", text)) or _SURROGATES.search(text))


def tiktoken_twin(raw: tokenizers.Tokenizer) -> TiktokenBpe | None:
    """The same tokenizer in tiktoken, if the two should agree: `agree` must be asked before it is used. Takes about a
    second; `raw` must not be used meanwhile."""
    pattern, composes = _pattern_of(_state(raw.pre_tokenizer)), _state(raw.normalizer) == {"type": "NFC"}
    if pattern is None or not (composes or not _state(raw.normalizer).get("normalizers", _state(raw.normalizer))):
        return None
    said = json.loads(raw.to_str())
    added = {token["content"]: token for token in said["added_tokens"]}
    ranks = _ranks_of(said["model"], added)
    if ranks is None or not _are_plain(added) or not _merge_alike(raw, said["model"], added):
        return None
    specials = {content: token["id"] for content, token in added.items()}
    encoding = tiktoken.Encoding("twin", pat_str=pattern, mergeable_ranks=ranks, special_tokens=specials)
    return TiktokenBpe(encoding, composes)


def agree(twin: TiktokenBpe, raw: tokenizers.Tokenizer) -> bool:
    """Do both give the same ids for a few odd texts? The first thread that encodes with `twin` is the one in which it
    is quickest from then on: its regular expression has one cache without a lock, for the thread that asks first."""
    return all(twin.encode(text) in (None, _slow(raw, text)) for text in _PROBES)


def _state(part: Any) -> dict[str, Any]:
    """The JSON state of a part of a tokenizer; empty for no part."""
    return dict(json.loads(part.__getstate__())) if part is not None else {}


def _pattern_of(pre_tokenizer: Mapping[str, Any]) -> str | None:
    """The pattern that cuts text into words; None where the pre-tokenizer does more than that."""
    *splits, last = pre_tokenizer.get("pretokenizers") or [pre_tokenizer]
    if last.get("type") != "ByteLevel" or last["add_prefix_space"] or last["use_regex"] is bool(splits):
        return None
    if not splits:
        return _GPT2
    split = splits[0]
    alone = len(splits) == 1 and split["type"] == "Split" and split["behavior"] == "Isolated" and not split["invert"]
    pattern = split["pattern"].get("Regex", "") if alone else ""
    return pattern if _PLAIN_PATTERN.fullmatch(pattern) else None


def _are_plain(added: Mapping[str, Mapping[str, Any]]) -> bool:
    """True when added tokens are found as they are written, and none is the beginning of another."""
    flags = ("single_word", "lstrip", "rstrip", "normalized")
    prefixed = any(longer.startswith(shorter) for shorter, longer in pairwise(sorted(added)))
    return not prefixed and "" not in added and not any(token[flag] for token in added.values() for flag in flags)


def _ranks_of(model: Mapping[str, Any], added: Mapping[str, Any]) -> dict[bytes, int] | None:
    """Ids by the bytes of their tokens; None where more than bytes are merged, or a byte is missing."""
    beyond = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
    if model["type"] != "BPE" or any(model.get(name) for name in beyond):
        return None
    alphabet = byte_alphabet()
    ranks = {}
    for token, rank in model["vocab"].items():
        try:
            ranks[bytes([alphabet[char] for char in token])] = rank
        except KeyError:
            if token not in added:
                return None
    complete = all(bytes([byte]) in ranks for byte in range(256))
    return ranks if complete and len(set(ranks.values())) == len(ranks) else None


def byte_alphabet() -> dict[str, int]:
    """The characters that stand for bytes in vocabularies: printable ones for themselves, others from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}


def _merge_alike(raw: tokenizers.Tokenizer, said: Mapping[str, Any], added: Mapping[str, Any]) -> bool:
    """Is the list of merges in the order of ids, and does it have all pairs of which tiktoken makes tokens?"""
    vocab: Mapping[str, int] = said["vocab"]
    merges = [tuple(merge.split(" ") if isinstance(merge, str) else merge) for merge in said["merges"]]
    if not all(earlier <= later for earlier, later in pairwise([vocab["".join(merge)] for merge in merges])):
        return False
    unmade = _unmade(raw, [pair for pair in vocab.items() if pair[0] not in added])
    if not unmade or not said.get("ignore_merges"):
        return not unmade
    listed = set(merges)  # where whole words are looked up as tokens, no pair may be missing
    splits = [(token[:at], token[at:]) for token in unmade for at in range(1, len(token))]
    return all(split in listed for split in splits if split[0] in vocab and split[1] in vocab)


def _unmade(raw: tokenizers.Tokenizer, tokens: list[tuple[str, int]]) -> list[str]:
    """The tokens that do not become themselves by merging alone."""
    model: Any = raw.model
    merging = tokenizers.Tokenizer(model)  # the same model, without normaliser, pre-tokenizer and post-processor
    whole, model.ignore_merges = model.ignore_merges, False
    found = []
    try:
        for at in range(0, len(tokens), _CHECKED_AT_ONCE):  # few at once: their ids are read under the lock
            some = tokens[at : at + _CHECKED_AT_ONCE]
            encoded = merging.encode_batch_fast([token for token, _ in some], add_special_tokens=False)
            found += [token for one, (token, rank) in zip(encoded, some, strict=True) if one.ids != [rank]]
    finally:
        model.ignore_merges = whole
    return found


def _slow(raw: tokenizers.Tokenizer, text: str) -> list[int]:
    ids: list[int] = raw.encode_batch_fast([text], add_special_tokens=False)[0].ids
    return ids
