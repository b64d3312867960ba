"""Skeletons give the template's own text, or none. Against every use of a text: `test_render`."""

import json
from typing import Any

import pytest

from tokenizer_cache.jinja import compiled
from tokenizer_cache.templates.skeletons import Message, Skeletons, _shortest

SOURCE = (
    "{% for m in messages %}<|im|>{{ m.role }}:{{ m.content }}"
    "{% for c in m.tool_calls or [] %}"
    "[{{ c.id }} {{ c.function.name }} {{ c.function.arguments | tojson }}]"
    "{% endfor %}"
    "{{ m.tool_call_id }}{% endfor %}"
)


class Template:
    """A template, its skeletons, and how often it was rendered."""

    def __init__(self, source: str = SOURCE) -> None:
        self._template = compiled(source)
        self.skeletons = Skeletons(source, self._template.environment)
        self.rendered = 0

    def render(self, messages: list[Message]) -> str:
        self.rendered += 1
        return str(self._template.render(messages=messages))

    def fill(self, *messages: Message, place: str = "") -> str | None:
        return self.skeletons.fill(place, messages, self.render)


def said(content: Any, role: str = "user", **more: Any) -> Message:
    return {"role": role, "content": content, **more}


def called(arguments: dict[str, Any], call_id: str = "c", name: str = "f") -> dict[str, Any]:
    return {"id": call_id, "function": {"name": name, "arguments": arguments}}


def test_a_form_is_rendered_once_and_then_filled() -> None:
    template = Template()
    first = template.fill(said("a"), said("b", "assistant"))
    learned = template.rendered
    assert first == "<|im|>user:a<|im|>assistant:b"
    assert template.fill(said("longer é 🙂"), said('"q"', "assistant")) == '<|im|>user:longer é 🙂<|im|>assistant:"q"'
    assert template.rendered == learned > 0


def test_arguments_ids_and_names_are_filled_in() -> None:
    template = Template()
    for number in range(2):
        arguments = {"a": number, "é": [1, None]}
        messages = [
            said("", "assistant", tool_calls=[called(arguments, f"id{number}", f"f{number}")]),
            said("x", "tool", tool_call_id=f"id{number}"),
        ]
        expected = f"[id{number} f{number} {json.dumps(arguments, ensure_ascii=False)}]"
        assert template.fill(*messages) == f"<|im|>assistant:{expected}<|im|>tool:xid{number}"


def test_equal_names_are_another_form_than_different_ones() -> None:
    template = Template("{% for m in messages %}{{ m.content }}{{ m.name == messages[0].name }}{% endfor %}")
    one, other = said("a", name="x"), said("b", name="y")
    assert template.fill(one, one) == "aTrueaTrue"
    assert template.fill(one, other) == "aTruebFalse"


def test_place_and_role_and_emptiness_are_part_of_the_form() -> None:
    template = Template()
    counts = []
    for message, place in ((said("a"), ""), (said("a"), "p"), (said("a", "tool"), ""), (said(""), "")):
        template.fill(message, place=place)
        counts.append(template.rendered)
    assert counts == sorted(set(counts)), "each was learned by itself"


@pytest.mark.parametrize("text", [" a", "a\n", "a <cut> b", "a \u2042 b"])
def test_texts_that_the_template_may_not_copy_are_left_to_it(text: str) -> None:
    template = Template(SOURCE.replace("m.content", "(m.content | trim).split('<cut>')[-1]"))
    assert template.fill(said("a")) == "<|im|>user:a"
    assert template.fill(said(text)) is None


def test_a_template_that_keeps_space_is_filled_with_it() -> None:
    assert Template().fill(said(" a\n")) == "<|im|>user: a\n"


@pytest.mark.parametrize(
    "use",
    [
        "m.content | upper",
        "m.content | tojson",
        "m.content[:20]",
        "m.content | length",
        "m.content | replace('k', 'l')",
    ],
)
def test_a_template_that_does_more_with_a_text_has_no_skeleton(use: str) -> None:
    template = Template(SOURCE.replace("m.content", use))
    assert template.fill(said("a")) is None
    learned = template.rendered
    assert template.fill(said("b")) is None
    assert template.rendered == learned, "that is remembered"


def test_a_template_that_writes_arguments_in_its_own_form_has_none() -> None:
    template = Template("{% for m in messages %}{% for k in m.arguments %}{{ k }}{% endfor %}{% endfor %}")
    assert template.fill({"role": "tool", "arguments": {"a": 1}}) is None


@pytest.mark.parametrize("value", [3, 1.5, b"x", "r" * 65])
def test_values_of_no_known_kind_are_left_to_the_template(value: Any) -> None:
    template = Template()
    assert template.fill(said("a", other=value)) is None
    assert template.rendered == 0


def test_what_cannot_be_rendered_has_none() -> None:
    assert Template().skeletons.fill("", [said("a")], lambda _: None) is None


def test_of_markup_that_holds_other_markup_the_shorter_is_looked_for() -> None:
    assert _shortest({"<|im_start|>", "<|im_start|>user", "</tool>\n", "</tool>", "{x}"}) == (
        "</tool>",
        "<|im_start|>",
        "{x}",
    )
