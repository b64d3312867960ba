"""Which models an engine answers for, and how long a prompt it takes."""

import pytest

from loadtests.engine.errors import Refused
from loadtests.engine.settings import Settings
from tests.engines import quick_profile


def test_the_base_model_is_meant_when_none_is_named() -> None:
    assert Settings(model="m").check_model({}) == "m"


def test_adapters_are_models_and_others_are_not_found() -> None:
    settings = Settings(model="m", loras=("a",))
    assert settings.check_model({"model": "a"}) == "a"
    with pytest.raises(Refused) as refused:
        settings.check_model({"model": ["m"]})
    assert refused.value.status == 404


def test_sglang_takes_any_name() -> None:
    assert Settings(model="m", kind="sglang").check_model({"model": "m:adapter"}) == "m:adapter"


def test_a_prompt_must_fit_the_pool() -> None:
    assert Settings(profile=quick_profile(kv_tokens=1000)).max_model_len == 992
    assert Settings().max_model_len == 131_072
