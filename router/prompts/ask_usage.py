"""Asks for the usage of a stream where the client did not: what was really cached corrects predictions and charges.

Only engines that are known to answer with one chunk more are asked, and only where the body says nothing of stream
options. `router/relay/usage_out.py` takes that chunk out again.
"""

from typing import Final

from router.engines import Facts
from tokenizer_cache.bodies.request import Request
from tokenizer_cache.bodies.splice import with_field
from tokenizer_cache.prompt import BadRequest

APIS: Final = frozenset({"chat", "completions"})
"""The others' streams end with usage anyway."""
ENGINES: Final = frozenset({"vllm", "sglang"})


def with_usage(request: Request, body: bytes, facts: Facts | None) -> bytes | None:
    """The body that asks for it; None where the client's own does, or must not."""
    if facts is None or facts.engine not in ENGINES or request.api not in APIS or not request.stream:
        return None
    if request.fields.stream_options is not None:
        return None
    try:
        return with_field(body, "stream_options", lambda _: b'{"include_usage":true}')
    except BadRequest:  # the worker answers with the error
        return None
