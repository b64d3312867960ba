"""What an SGLang server's own options do to prompts, as /server_info and /model_info tell. Facts as of 0.5.23.

A model whose prompts SGLang builds in code, or puts into a conversation of its own making, is known by its name, type
or parser: such prompts are not followed, and saying so wrongly only costs exactness.
"""

import re
from typing import Any

import httpx
import msgspec

from router.engines.answers import WorkerAnswerError, fetch_json
from tokenizer_cache.rules import Served

_OWN_CONVERSATIONS = re.compile(
    r"\bpoints\b|moss.*vl|internvl|janus|vicuna|llava|deepseek.*vl2|minicpm-[vo]|phi-4-multimodal|deepseek-ocr"
    r"|unlimited|paddleocr|whisper",
    re.IGNORECASE,
)
"""Model paths for which SGLang takes a conversation format of its own in place of the chat template."""
_IN_CODE = re.compile(r"DeepseekV4|DeepseekV32|KimiK3|Inkling|GlmMoeDsa|Glm53|MiniMaxM3", re.IGNORECASE)
_PARSERS_IN_CODE = frozenset(
    ("deepseekv32", "deepseekv4", "deepseekv41", "kimi_k3", "muse", "hunyuan", "inkling", "beam")
)


class ServerOptions(msgspec.Struct):
    """The part of /server_info that changes prompts. Any type is taken: other versions must not make a worker unusable,
    and what is not understood makes its prompts inexact."""

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
        """Where the tokenizer was loaded from; empty when that is not said."""
        return next((path for path in (self.tokenizer_path, self.model_path) if path and isinstance(path, str)), "")


class _ModelInfo(msgspec.Struct):
    has_image_understanding: Any = None
    has_audio_understanding: Any = None
    model_type: Any = None
    architectures: Any = None


async def served(client: httpx.AsyncClient, url: str, options: ServerOptions) -> Served:
    """What the server does to prompts. Never fails: a server that does not say its model's kind is believed plain."""
    try:
        model = await fetch_json(client, url, "/model_info", _ModelInfo)
    except WorkerAnswerError:
        model = _ModelInfo()
    kwargs = options.default_chat_template_kwargs
    understood = isinstance(kwargs, dict | None) and isinstance(options.reasoning_parser, str | None)
    return Served(
        engine="sglang",
        default_kwargs=kwargs if isinstance(kwargs, dict) else {},
        reasoning_parser=options.reasoning_parser if isinstance(options.reasoning_parser, str) else "",
        own_template=bool(options.chat_template or options.hf_chat_template_name),
        multimodal=bool(model.has_image_understanding or model.has_audio_understanding),
        not_exact="not_plain_jinja" if _in_code(options, model) else "" if understood else "kwargs",
        completions_exact=not options.completion_template,
    )


def _in_code(options: ServerOptions, model: _ModelInfo) -> bool:
    named = f"{model.architectures} {model.model_type}"
    parsers = {str(options.tool_call_parser), str(options.reasoning_parser)}
    own = options.chat_template and not str(options.chat_template).endswith(".jinja")
    return bool(
        own
        or _IN_CODE.search(named)
        or parsers & _PARSERS_IN_CODE
        or _OWN_CONVERSATIONS.search(str(options.model_path))
    )
