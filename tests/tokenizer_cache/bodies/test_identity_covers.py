"""Every field of a body that an engine's rules read is part of the prompt's identity: a new option cannot be
forgotten."""

import json
from contextlib import suppress
from functools import cache
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tokenizer_cache.small import CHATML, small
from tests.tokenizer_cache.variants import base, variants
from tokenizer_cache.bodies.fields import ChatFields, Fields, MessageFields, ResponseFields
from tokenizer_cache.bodies.identity import CONTEXT
from tokenizer_cache.rules import NotExact, Served
from tokenizer_cache.templates.render import Renderer


class Asked(dict[str, Any]):
    """A body that knows what it was asked for. It must be asked name by name."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(body)
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None, /) -> Any:
        self.names.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.names.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.names.add(str(key))
        return super().__contains__(key)

    def __iter__(self) -> NoReturn:
        raise AssertionError("all fields are read at once: nobody can tell whether identity knows them")

    keys = items = values = copy = __or__ = __ror__ = __iter__  # type: ignore[assignment]


@cache
def renderer_of(engine: str, template: str) -> Renderer:
    return Renderer(small("chatml").with_template(template).served_by(Served(engine=engine)))


ITEMS: dict[str, tuple[str, type[Fields]]] = {
    "chat": ("messages", ChatFields),
    "messages": ("messages", MessageFields),
    "responses": ("input", ResponseFields),
}
NEVER_EXACT = {"prompt", "previous_response_id"}
"""With one of them a prompt of /v1/responses is compared as text."""


@pytest.mark.parametrize("template", [CHATML, CHATML + "{{ documents }}{{ thinking }}{{ reasoning_effort }}"])
@pytest.mark.parametrize("api", ITEMS)
@pytest.mark.parametrize("engine", ["vllm", "sglang"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_field_that_rules_read_counts(engine: str, api: str, template: str, data: st.DataObject) -> None:
    renderer, (items, kind) = renderer_of(engine, template), ITEMS[api]
    for body in (data.draw(variants(api)), json.dumps(base(api, 2)).encode()):
        asked = Asked(json.loads(body, strict=False))
        with suppress(NotExact):
            renderer.call(api, asked)
        assert asked.names <= {items, *CONTEXT[kind], *(NEVER_EXACT if api == "responses" else ())}
    assert {items, "tools"} <= asked.names
