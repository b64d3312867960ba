"""What a client asks for, as it was read: a value that a decision is made on."""

from collections.abc import Mapping

import msgspec

from router.clients import Client
from router.fleet.groups import ModelGroup
from router.fleet.worker import Worker
from router.prompts.encoding import Encoder
from router.routing.priority import USUAL
from router.sessions.recognition.hints import NO_HINT, Hint
from router.sessions.recognition.turn import Turn
from tokenizer_cache.bodies.request import Request
from tokenizer_cache.prompt import Prompt


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request. Without a prompt it is routed by load alone."""

    group: ModelGroup
    """Those that could serve it."""
    model: str = ""
    body: bytes | None = None
    client: Client | None = None
    session: bytes = b""
    hint: Hint = NO_HINT
    """What its client says of whose turn it is."""
    level: int = USUAL
    """How urgent it is among its client's requests."""
    stream: bool = False
    response_id: str = ""
    """The stored response that it goes on from: only the worker that made it can serve it."""
    owner: Worker | None = None
    """That worker, once it is found."""
    charged: bool = False
    """It takes of its client's tokens."""
    least_tokens: int = 0
    """What it takes at first, until more is known."""
    request: Request | None = None
    """Its parsed body, when it has a prompt."""
    encoders: Mapping[str, Encoder] = {}
    prompts: Mapping[str, Prompt] = {}
    """By the formats that the group's workers use."""
    turn: Turn | None = None
    """Whose turn of a session it is, once that was looked for."""
