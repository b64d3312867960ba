"""What an SGLang server says about its prompts."""

from typing import Any

import pytest

from router.engines.sglang import recognise
from tests.router.fake_worker import FakeWorker, as_json, client, sglang
from tokenizer_cache.rules import Served


async def served(info: dict[str, Any] | None = None, **model: Any) -> tuple[Served, str]:
    async with FakeWorker(sglang(**(info or {})) | {"/model_info": as_json(model)}) as worker, client() as http:
        engine = await recognise(http, worker.url)
        assert engine is not None
        facts = await engine.facts(http, worker.url)
        return facts.served, facts.models[0].root


async def test_a_plain_server_is_as_usual() -> None:
    found, root = await served(model_type="qwen3", architectures=["Qwen3ForCausalLM"], has_image_understanding=False)
    assert (found, found.key, root) == (Served(engine="sglang"), "sglang", "Qwen/Qwen3-8B")


async def test_options_that_change_prompts_make_another_format() -> None:
    info = {
        "default_chat_template_kwargs": {"enable_thinking": False},
        "reasoning_parser": "qwen3",
        "completion_template": "fim",
        "tokenizer_path": "/models/tokenizer",
    }
    found, root = await served(info, has_image_understanding=True)
    assert found.default_kwargs == {"enable_thinking": False}
    assert (found.reasoning_parser, found.multimodal, found.completions_exact) == ("qwen3", True, False)
    assert found.key.startswith("sglang~")
    assert root == "/models/tokenizer"


async def test_a_template_file_is_known_to_be_another() -> None:
    found, _ = await served({"chat_template": "/etc/t.jinja"})
    assert (found.own_template, found.not_exact) == (True, "")


@pytest.mark.parametrize(
    ("info", "model"),
    [
        ({"chat_template": "chatml"}, {}),
        ({"model_path": "OpenGVLab/InternVL2-8B"}, {}),
        ({"tool_call_parser": "deepseekv32"}, {}),
        ({}, {"architectures": ["DeepseekV4ForCausalLM"]}),
        ({}, {"model_type": "minimax_m3_vl", "architectures": ["MiniMaxM3ForCausalLM"]}),
    ],
)
async def test_prompts_made_in_code_are_not_followed(info: dict[str, Any], model: dict[str, Any]) -> None:
    found, _ = await served(info, **model)
    assert found.not_exact == "not_plain_jinja"


async def test_a_server_without_model_info_is_believed_plain() -> None:
    async with FakeWorker(sglang()) as worker, client() as http:
        engine = await recognise(http, worker.url)
        assert engine is not None
        assert (await engine.facts(http, worker.url)).served == Served(engine="sglang")


async def test_options_of_another_shape_cost_exactness_and_not_the_worker() -> None:
    info = {"default_chat_template_kwargs": "{}", "tokenizer_path": 7, "reasoning_parser": ["a"]}
    found, root = await served(info, architectures="Qwen3ForCausalLM", model_type=None)
    assert (found.not_exact, found.default_kwargs, found.reasoning_parser) == ("kwargs", {}, "")
    assert root == "Qwen/Qwen3-8B"
