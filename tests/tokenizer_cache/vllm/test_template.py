"""What is read from a chat template's source. The expectations are those of a running vLLM 0.32."""

import pytest

from tests.tokenizer_cache.formats import JOINS, WANTS_PARTS
from tokenizer_cache.vllm.template import content_format, template_format

LOOPS = [
    "{% for m in messages %}{% for p in m['content'] %}{% endfor %}{% endfor %}",
    "{% for m in messages[1:] %}{% for p in m.content | list %}{% endfor %}{% endfor %}",
    "{% set rest = messages[1:] %}{% set more = rest %}"
    "{% for m in more %}{% for p in m.content %}{% endfor %}{% endfor %}",
    "{% for m in messages %}{% set content = m.content %}{% for p in content %}{% endfor %}{% endfor %}",
    "{% macro show(x) %}{% for p in x %}{% endfor %}{% endmacro %}"
    "{% for m in messages %}{{ show(m.content) }}{% endfor %}",
    "{% macro show(y, x) %}{% for p in x %}{% endfor %}{% endmacro %}"
    "{% for m in messages %}{{ show(1, x=m.content) }}{% endfor %}",
    "{% set a = messages %}{% set messages = a %}{% for m in a %}{% for p in m.content %}{% endfor %}{% endfor %}",
]
FLAT = [
    JOINS,
    "{% for m in messages %}{% for c in m.tool_calls %}{% endfor %}{{ m.content }}{% endfor %}",
    "{% macro show(content) %}{% for p in content %}{% endfor %}{% endmacro %}{{ show(1) }}",
    "{% for m in others %}{% for p in m.content %}{% endfor %}{% endfor %}",
    "{% for a, b in messages %}{% for p in a.content %}{% endfor %}{% endfor %}",
    "{% for m in messages %}{{ broken",
]


@pytest.mark.parametrize("source", [WANTS_PARTS, *LOOPS])
def test_a_loop_over_content_wants_parts(source: str) -> None:
    assert content_format(source) == "openai"


@pytest.mark.parametrize("source", FLAT)
def test_everything_else_wants_a_string(source: str) -> None:
    assert content_format(source) == "string"


def test_generation_blocks_and_loop_controls_are_understood() -> None:
    source = (
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% break %}{% endfor %}{{ seen }}"
    )
    assert template_format(source).variables == {"messages", "seen"}


def test_variables_are_those_that_are_read_and_not_set() -> None:
    source = "{% set own = 1 %}{{ own }}{{ enable_thinking }}{% for m in messages %}{{ m.mood }}{% endfor %}"
    assert template_format(source).variables == {"enable_thinking", "messages"}


def test_a_broken_template_falls_back() -> None:
    broken = template_format("{% for m in")
    assert (broken.content, broken.variables, broken.system_first) == ("string", frozenset(), True)


@pytest.mark.parametrize(("quoted", "known"), [("'developer'", True), ('"developer"', True), ("developer", False)])
def test_the_developer_role_counts_as_known_when_it_is_quoted(quoted: str, known: bool) -> None:
    assert template_format("{# " + quoted + " #}").knows_developer is known


def test_a_template_that_rejects_later_system_messages_is_found_out() -> None:
    guard = "{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('x') }}{% endif %}"
    assert template_format(guard + "{% endfor %}").system_first
    assert not template_format(JOINS).system_first


EFFORTS = [
    ("{{ messages }}{% if enable_thinking == false %}quiet{% endif %}", "none"),
    ("{{ messages }}{{ reasoning_effort }}", "none"),
    ("{{ messages }}", "low"),
    ("{{ messages }}{{ 'max' if reasoning_effort not in ['low', 'high'] }}", "low"),
    ("{{ messages }}{% if reasoning_effort == 'none' %}{{ raise_exception('always thinks') }}{% endif %}", "low"),
]


@pytest.mark.parametrize(("source", "effort"), EFFORTS)
def test_disabled_thinking_is_low_effort_where_none_has_no_effect(source: str, effort: str) -> None:
    assert template_format(source).disabled_effort == effort


def test_special_tokens_and_defaults_reach_the_trial_renderings() -> None:
    source = "{{ bos_token + 'x' }}{{ messages }}{{ mood + 'x' }}{{ reasoning_effort }}"
    assert template_format(source).disabled_effort == "low"
    assert template_format(source, {"bos_token": "<s>"}, {"mood": "m"}).disabled_effort == "none"
