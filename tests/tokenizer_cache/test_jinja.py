"""The shortcuts in the sandbox answer what the sandbox would."""

from typing import Any

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import _compile_jinja_template

from tests.tokenizer_cache.random_chats import messages
from tests.tokenizer_cache.small import TEMPLATES
from tokenizer_cache.jinja import compiled
from tokenizer_cache.templates.render import RENDER_ERRORS


def rendered(template: Any, **variables: Any) -> str | type[BaseException]:
    try:
        return str(template.render(**variables))
    except RENDER_ERRORS as error:
        return type(error)


@pytest.mark.parametrize("family", TEMPLATES)
@settings(max_examples=20, deadline=None)
@given(st.lists(messages(), max_size=6))
def test_texts_are_the_same_to_the_byte(family: str, conversation: list[dict[str, Any]]) -> None:
    variables = {"messages": conversation, "bos_token": "<bos>", "add_generation_prompt": True}
    plain = _compile_jinja_template(TEMPLATES[family])
    assert rendered(compiled(TEMPLATES[family]), **variables) == rendered(plain, **variables)


EXPRESSIONS = (
    "''.__class__",
    "''.__class__.__mro__",
    "value.__class__",
    "value.items",
    "value.items() | list",
    "value.keys() | list",
    "value.get('a')",
    "value.pop('a')",
    "value.update({'b': 1})",
    "value.missing",
    "value.missing is defined",
    "value.missing.deeper",
    "value.a.upper()",
    "value['a'].strip('x')",
    "value._private",
    "value.none",
    "value.none is none",
    "'{0.__class__}'.format(value)",
    "'{a}'.format_map(value)",
    "value.a.format",
    "words.append('x')",
    "words.missing is defined",
    "words.0",
    "(1).bit_length()",
    "namespace(a=1).a",
    "namespace(a=1).b is defined",
    "namespace(f=''.format).f",
    "namespace(a=1).__class__",
    "missing.attribute",
    "range.__call__",
)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize(
    "form", ["{{ EXPRESSION }}", "{% for x in words %}{{ loop.index }}{{ loop.previtem }}{{ EXPRESSION }}{% endfor %}"]
)
def test_nothing_more_and_nothing_less_can_be_reached(expression: str, form: str) -> None:
    source = form.replace("EXPRESSION", expression)

    def variables() -> dict[str, Any]:
        return {"value": {"a": "xyz", "none": None, "_private": 1}, "words": ["p", "q"]}

    plain = _compile_jinja_template(source)
    ours, theirs = rendered(compiled(source), **variables()), rendered(plain, **variables())
    if isinstance(theirs, str) and " at 0x" in theirs:
        assert isinstance(ours, str)
        assert ours.partition(" at 0x")[0] == theirs.partition(" at 0x")[0]
    else:
        assert ours == theirs


@pytest.mark.parametrize(
    "attribute", ["index0", "first", "last", "length", "revindex", "nextitem", "__class__", "cycle", "nope"]
)
def test_loop_attributes(attribute: str) -> None:
    source = "{% for x in words %}[{{ loop.ATTRIBUTE is defined }}{{ loop.ATTRIBUTE is string }}]{% endfor %}"
    source = source.replace("ATTRIBUTE", attribute)
    words = ["a", "b", "c"]
    assert rendered(compiled(source), words=words) == rendered(_compile_jinja_template(source), words=words)


def test_templates_do_not_share_an_environment() -> None:
    one, other = compiled("{{ a.b }}"), compiled("{{ a.b }}")
    assert one.environment is not other.environment
    assert _compile_jinja_template("{{ a.b }}").environment.getattr is not one.environment.getattr


def test_a_broken_template_is_an_error() -> None:
    with pytest.raises(jinja2.TemplateError):
        compiled("{% if %}")
