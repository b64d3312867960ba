"""Random conversations with the templates and tokenizers of real models, against transformers alone.

Opt-in: WARMROUTE_TEST_TOKENIZERS="NAME=FOLDER,..."; a template NAME.jinja in WARMROUTE_TEST_DATA/templates replaces
the tokenizer's own.
"""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtests.evidence.check_exact import Check, Subject, flattened
from tests.tokenizer_cache.random_chats import TOOLS, body_of, messages

NAMED = dict(pair.split("=", 1) for pair in os.environ.get("WARMROUTE_TEST_TOKENIZERS", "").split(",") if pair)
ENGINES = ("vllm", "sglang")

pytestmark = [
    pytest.mark.skipif(not NAMED, reason="WARMROUTE_TEST_TOKENIZERS is not set"),
    pytest.mark.timeout(900),
]


def subject(name: str, engine: str) -> Subject:
    template = Path(os.environ.get("WARMROUTE_TEST_DATA", "")) / "templates" / f"{name}.jinja"
    return Subject(name, NAMED[name], template.read_text() if template.exists() else None, engine)


@pytest.fixture(scope="module")
def checks() -> dict[tuple[str, str], Check]:
    return {(name, engine): Check(subject(name, engine), 1 << 18) for name in NAMED for engine in ENGINES}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NAMED)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_conversations_grown_forked_cut_and_edited(
    name: str, engine: str, checks: dict[tuple[str, str], Check], data: st.DataObject
) -> None:
    check = checks[name, engine]
    conversation: list[dict[str, Any]] = []
    others: list[list[dict[str, Any]]] = [[]]
    tools = data.draw(st.sampled_from([{}, {"tools": TOOLS}]))
    plain = data.draw(st.booleans())
    for _ in range(data.draw(st.integers(2, 14))):
        step = data.draw(st.sampled_from(["grow", "grow", "grow", "cut", "edit", "fork", "again"]))
        if step == "grow" or not conversation:
            conversation = conversation + data.draw(st.lists(messages(), min_size=1, max_size=3))
        elif step == "cut":
            conversation = conversation[: data.draw(st.integers(1, len(conversation)))]
        elif step == "edit":
            place = data.draw(st.integers(0, len(conversation) - 1))
            conversation = [*conversation[:place], data.draw(messages()), *conversation[place + 1 :]]
        elif step == "fork":
            conversation = list(data.draw(st.sampled_from(others))) or conversation
        others.append(conversation)
        said = flattened(conversation) if plain else conversation
        assert check.one(body_of(said, **tools), compare=True).outcome in ("equal", "refused")
