"""Formats: equal options are one, and every option that differs makes another."""

from typing import Any

import msgspec
import pytest

from tokenizer_cache.rules import NotExact, Served

OTHER: dict[str, Any] = {
    "default_kwargs": {"a": 1},
    "reasoning_parser": "qwen3",
    "own_template": True,
    "multimodal": True,
    "not_exact": "because",
    "completions_exact": False,
}


def test_the_default_is_the_engine_s_name() -> None:
    assert (Served().key, Served(engine="sglang").key) == ("vllm", "sglang")


@pytest.mark.parametrize("field", OTHER)
def test_every_option_makes_another_format(field: str) -> None:
    one = Served(**{field: OTHER[field]})
    assert one.key.startswith("vllm~")
    keys = {
        Served(**{name: value}, engine=engine).key for name, value in OTHER.items() for engine in ("vllm", "sglang")
    }
    assert len(keys) == 2 * len(OTHER)


def test_no_option_is_left_out() -> None:
    assert {*OTHER, "engine"} == set(Served.__struct_fields__)


def test_the_order_of_arguments_is_no_difference() -> None:
    one, other = Served(default_kwargs={"a": 1, "b": 2}), Served(default_kwargs={"b": 2, "a": 1})
    assert one.key == other.key != Served(default_kwargs={"a": 2, "b": 1}).key


def test_a_reason_says_itself() -> None:
    assert (NotExact("media").reason, str(NotExact("media"))) == ("media", "media")
    assert msgspec.structs.asdict(Served())["engine"] == "vllm"
