"""vLLM's rules for templates of all kinds, given with the request: the server must have --trust-request-chat-template.

The templates print everything that they are given, order of keys included, so nothing can be missed that reaches a
template at all. Skipped where the server refuses such requests.
"""

from typing import Any

import pytest

from tests.real.bodies import ALL
from tests.real.server import RealServer
from tokenizer_cache.rules import NotExact
from tokenizer_cache.templates.render import RENDER_ERRORS, Renderer

ECHO = (
    "{% for message in messages %}{{ message | tojson }}\n{% endfor %}{{ (tools or none) | tojson }} "
    "{{ [documents is defined and documents, reasoning_effort is defined and reasoning_effort, "
    "enable_thinking is defined and enable_thinking, "
    "add_generation_prompt] | tojson }}"
)
TEMPLATES = {
    "string": ECHO,
    "parts": "{% for message in messages %}{% for part in message.content %}{% endfor %}{% endfor %}" + ECHO,
    "developer": "{% if messages[0].role == 'developer' %}!{% endif %}" + ECHO,
    "documents": ECHO + "{% for document in documents or [] %}{{ document.title }}{% endfor %}",
}
pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_rule_with_other_templates(server: RealServer, name: str) -> None:
    template = TEMPLATES[name]
    probe: dict[str, Any] = {"messages": [{"role": "user", "content": "a"}], "chat_template": template}
    if server.theirs("chat", probe) is None:
        pytest.skip("the server does not take templates from requests")
    renderer = Renderer(server.tokenizer.with_template(template))
    compared, different = 0, []
    for body in ALL["chat"]:
        theirs = server.theirs("chat", {**body, "chat_template": template})
        try:
            call = renderer.call("chat", body)
            ours = server.tokenizer.encode(renderer.full(call), call.add_special_tokens)
        except (NotExact, *RENDER_ERRORS):
            ours = None
        if ours is not None:  # silence is allowed, a wrong prompt is not
            compared += 1
            if theirs != ours:
                different.append(body)
    assert different == []
    assert compared > 0.9 * len(ALL["chat"])
