"""How an SGLang server's options change prompts, from /server_info and /model_info. Facts as of 0.5.23.

SGLang builds the prompts of some models in code, or from its own conversation templates. Such a model is recognised by
its name, type or parser, and its prompts are not exact; a wrong match only costs exactness.
"""

import re
from typing import Any

import httpx
import msgspec

from router.engines.answers import MAX_NAME_CHARS, MAX_PATH_CHARS, WorkerAnswerError, fetch_json, plain
from tokenizer_cache.rules import Served

_OWN_CONVERSATIONS = re.compile(
    r"\bpoints\b|moss.*vl|internvl|janus|vicuna|llava|deepseek.*vl2|minicpm-[vo]|phi-4-multimodal|deepseek-ocr"
    r"|unlimited|paddleocr|whisper",
    re.IGNORECASE,
)
"""Model paths for which SGLang uses its own conversation format instead of the chat template."""
_IN_CODE = re.compile(r"DeepseekV4|DeepseekV32|KimiK3|Inkling|GlmMoeDsa|Glm53|MiniMaxM3", re.IGNORECASE)
_PARSERS_IN_CODE = frozenset(
    ("deepseekv32", "deepseekv4", "deepseekv41", "kimi_k3", "muse", "hunyuan", "inkling", "beam")
)


_MAX_WORDS = 16
_MAX_KWARGS_BYTES = 16 << 10


class ServerOptions(msgspec.Struct):
    """The part of /server_info that changes prompts. Any type is accepted: another version must not make a worker
    unusable. A value that is not understood makes its prompts inexact."""

    model_path: Any = ""
    tokenizer_path: Any = None
    chat_template: Any = None
    hf_chat_template_name: Any = None
    completion_template: Any = None
    default_chat_template_kwargs: Any = None
    reasoning_parser: Any = None
    tool_call_parser: Any = None

    @property
    def loaded_from(self) -> str:
        """The path that the tokenizer was loaded from; empty when the server does not say it."""
        paths = (plain(path, MAX_PATH_CHARS) for path in (self.tokenizer_path, self.model_path))
        return next((path for path in paths if path), "")


class _ModelInfo(msgspec.Struct):
    has_image_understanding: Any = None
    has_audio_understanding: Any = None
    model_type: Any = None
    architectures: Any = None


async def served(client: httpx.AsyncClient, url: str, options: ServerOptions) -> Served:
    """How the server changes prompts. Never fails: if the server does not say its model's kind, it is taken as
    plain."""
    try:
        model = await fetch_json(client, url, "/model_info", _ModelInfo)
    except WorkerAnswerError:
        model = _ModelInfo()
    kwargs = options.default_chat_template_kwargs
    parser = "" if options.reasoning_parser is None else options.reasoning_parser
    understood = _is_small(kwargs) and isinstance(kwargs, dict | None) and plain(parser, MAX_NAME_CHARS) == parser
    return Served(
        engine="sglang",
        default_kwargs=kwargs if understood and kwargs else {},
        reasoning_parser=plain(parser, MAX_NAME_CHARS),
        own_template=bool(options.chat_template or options.hf_chat_template_name),
        multimodal=bool(model.has_image_understanding or model.has_audio_understanding),
        not_exact="not_plain_jinja" if _in_code(options, model) else "" if understood else "kwargs",
        completions_exact=not options.completion_template,
    )


def _in_code(options: ServerOptions, model: _ModelInfo) -> bool:
    named = f"{_words(model.architectures)} {_words(model.model_type)}"
    parsers = {_words(options.tool_call_parser), _words(options.reasoning_parser)}
    own = options.chat_template and not _words(options.chat_template).endswith(".jinja")
    return bool(
        own
        or _IN_CODE.search(named)
        or parsers & _PARSERS_IN_CODE
        or _OWN_CONVERSATIONS.search(_words(options.model_path))
    )


def _words(said: Any) -> str:
    """A string, or a list of strings joined; empty for anything else, and for text too long to be a name."""
    words = said[:_MAX_WORDS] if isinstance(said, list) else [said]
    return " ".join(plain(word, MAX_PATH_CHARS) for word in words)


def _is_small(kwargs: Any) -> bool:
    """True when the arguments are small: they are part of each prompt's identity and are written again for each
    prompt."""
    try:
        return len(msgspec.json.encode(kwargs)) <= _MAX_KWARGS_BYTES
    except (RecursionError, UnicodeEncodeError):
        return False
