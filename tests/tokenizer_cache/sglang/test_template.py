"""What SGLang reads in a chat template's source. What comes of it is tested against recordings in `test_inputs`."""

import pytest

from tokenizer_cache.rules import Served
from tokenizer_cache.sglang.template import SglangFormat, sglang_format

ALL = "{% for m in messages %}{{ m.content }}{% endfor %}"
SWITCH = "{% if enable_thinking is defined and not enable_thinking %}x{% endif %}"


def format_of(source: str) -> SglangFormat:
    return sglang_format(source, {}, Served(engine="sglang"))


@pytest.mark.parametrize(
    ("source", "content"),
    [
        (ALL, "string"),
        ("{# no vision here #}" + ALL, "openai"),
        ("{% for part in message.content %}{% endfor %}", "openai"),
        ("{% for part in msg['content'] | list %}{% endfor %}", "openai"),
        ("{% for part in m.content[1:] %}{% endfor %}", "openai"),
        ("{% for part in turn.content %}{% endfor %}", "string"),
        ("{% for part in message.parts %}{% endfor %}", "string"),
        ("{% for part in message.content[0] %}{% endfor %}", "string"),
        ("{% for part in message['a' + 'b'] %}{% endfor %}", "string"),
    ],
)
def test_content_is_parts_where_a_word_says_media_or_a_loop_reads_it(source: str, content: str) -> None:
    assert format_of(source).content == content


@pytest.mark.parametrize(
    ("source", "inline"),
    [
        (ALL, True),
        ("{{ messages[0].content }}", False),
        ("{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}", False),
        ("{{ raise_exception('only one') }}" + ALL, False),
        ("{{ 1 // 0 }}" + ALL, False),
    ],
)
def test_a_later_system_message_stays_where_the_template_shows_it(source: str, inline: bool) -> None:
    assert format_of(source).inline_system is inline


@pytest.mark.parametrize(
    ("source", "switches", "low"),
    [
        (SWITCH, True, False),
        ("{% if enable_thinking is not defined or enable_thinking %}{% endif %}", True, False),
        ("{% if enable_thinking %}{% endif %}", False, False),
        (SWITCH + "{{ '[THINK]' }}", False, False),
        (SWITCH + "{{ low_effort }}", False, True),
        (ALL, False, False),
    ],
)
def test_a_switch_of_thinking_is_known_by_its_words(source: str, switches: bool, low: bool) -> None:
    found = format_of(source)
    assert (found.switches_thinking, found.low_effort) == (switches, low)
