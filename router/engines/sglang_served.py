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
    """The part of /server_info that changes prompts."""

    model_path: str = ""
    tokenizer_path: str | None = None
    chat_template: str | None = None
    hf_chat_template_name: str | None = None
    completion_template: str | None = None
    default_chat_template_kwargs: dict[str, Any] | None = None
    reasoning_parser: str | None = None
    tool_call_parser: str | None = None


class _ModelInfo(msgspec.Struct):
    has_image_understanding: bool | None = None
    has_audio_understanding: bool | None = None
    model_type: str | None = None
    architectures: list[str] | None = None


async def served(client: httpx.AsyncClient, url: str, options: ServerOptions) -> Served:
    """What the server does to prompts. Never fails: a server that does not say its model's kind is believed plain."""
    try:
        model = await fetch_json(client, url, "/model_info", _ModelInfo)
    except WorkerAnswerError:
        model = _ModelInfo()
    return Served(
        engine="sglang",
        default_kwargs=options.default_chat_template_kwargs or {},
        reasoning_parser=options.reasoning_parser or "",
        own_template=bool(options.chat_template or options.hf_chat_template_name),
        multimodal=bool(model.has_image_understanding or model.has_audio_understanding),
        not_exact="not_plain_jinja" if _in_code(options, model) else "",
        completions_exact=not options.completion_template,
    )


def _in_code(options: ServerOptions, model: _ModelInfo) -> bool:
    named = " ".join([*(model.architectures or ()), model.model_type or ""])
    parsers = {options.tool_call_parser, options.reasoning_parser}
    own = options.chat_template and not options.chat_template.endswith(".jinja")
    return bool(
        own or _IN_CODE.search(named) or parsers & _PARSERS_IN_CODE or _OWN_CONVERSATIONS.search(options.model_path)
    )
