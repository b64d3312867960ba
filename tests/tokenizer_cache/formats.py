"""Template formats for tests of what a chat template is given: one that joins content, one that wants its parts."""

from tokenizer_cache.vllm.template import TemplateFormat, template_format

JOINS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}{{ color }}"
)
WANTS_PARTS = "{% for m in messages %}{{ m.role }}{% for part in m.content %}{{ part.text }}{% endfor %}{% endfor %}"

JOINING: TemplateFormat = template_format(JOINS)
LISTING: TemplateFormat = template_format(WANTS_PARTS)
SYSTEM_FIRST: TemplateFormat = template_format(
    JOINS + "{% for m in messages[1:] %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}{% endfor %}"
)
