"""A tokenizer from its files: `tokenizer.json` with its configuration and template, or whatever transformers loads.

What goes wrong in the files is raised as it comes: `load` names it.
"""

import json
from pathlib import Path
from typing import Any, Final

import tokenizers

from tokenizer_cache.tokenizers.tokenizer import Tokenizer, TokenizerUnavailable

NOT_PLAIN: Final = frozenset(
    ("gpt_oss", "deepseek_v32", "deepseek_v4", "kimi_k3", "inkling", "cohere_cmd3", "cohere_cmd4")
)
"""Model types whose prompts engines build in code, not with the chat template."""


_PLAIN_CLASSES: Final = frozenset(("", "PreTrainedTokenizerFast", "TokenizersBackend"))


def load_file(path: Path, fallback_template: str | None = None) -> Tokenizer:
    """A `tokenizer.json`, with `tokenizer_config.json` and `chat_template.jinja` beside it where they exist. With a
    configuration that names a class of its own it is loaded as engines do: such classes change what the file says."""
    if path.name == "tokenizer.json" and _class_of(path.parent) not in _PLAIN_CLASSES:
        loaded = load_as_engines_do(str(path.parent))
        return loaded if loaded.chat_template or not fallback_template else loaded.with_template(fallback_template)
    source = path.read_text()
    if "model" not in json.loads(source):
        raise TokenizerUnavailable(f"{path}: not a tokenizer.json")
    config = _read_json(path.with_name("tokenizer_config.json"))
    template_file = path.with_name("chat_template.jinja")
    template = template_file.read_text() if template_file.exists() else config.get("chat_template")
    contents = {name: _content(value) for name, value in config.items() if name.endswith("_token")}
    named = {name: content for name, content in contents.items() if isinstance(content, str)}
    raw = tokenizers.Tokenizer.from_str(source)
    default, has_other = _templates(template)
    return Tokenizer(raw, default or fallback_template, named, _not_plain(path.parent), has_other)


def load_as_engines_do(spec: str) -> Tokenizer:
    """A folder or an id of the hub, through transformers, which raises errors of all kinds."""
    import transformers  # noqa: PLC0415  (seconds to import, and needed here only)

    loaded: Any = transformers.AutoTokenizer.from_pretrained(spec)
    config: dict[str, Any] = transformers.PretrainedConfig.get_config_dict(spec)[0]
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
