"""What a client says of whose turn a request is, as two hashes: the chain of prompts decides, and this is a hint.

Clients name their sessions in headers and fields of their own. What must not be broken: an id is hostile. It is
bounded, hashed with its client and model, and nothing else of it is kept, logged or counted. `user` and
`safety_identifier` name people, often one for a whole fleet, and are not read.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple, TypeVar

import msgspec

from tokenizer_cache.bodies.fields import ABSENT, Fields, Raw, given

MAX_ID_BYTES = 256
"""A longer id is no id."""
MAX_METADATA_BYTES = 16384
HASH_BYTES = 16

OWN: Final = (
    b"x-claude-code-agent-id",
    b"x-claude-code-session-id",
    b"thread-id",
    b"session-id",
    b"session_id",
    b"x-dynamo-session-id",
    b"x-deepseek-harness-session-id",
    b"x-opencode-session",
    b"x-session-id",
    b"x-session-affinity",
    b"x-litellm-session-id",
    b"x-grok-conv-id",
    b"x-task-id",
)
"""Headers that name one chain of prompts. The first one that is there counts."""
FAMILY: Final = (
    b"x-claude-code-session-id",
    b"session-id",
    b"session_id",
    b"x-dynamo-parent-session-id",
    b"x-deepseek-harness-parent-session-id",
    b"x-parent-session-id",
    b"x-codex-parent-thread-id",
)
"""Headers that a chain's relatives share with it: subagents with who sent them out."""
ENDS: Final = b"x-dynamo-session-final"
"""Says that the session ends."""
NO: Final = frozenset({b"", b"0", b"false"})
_READ: Final = frozenset({*OWN, *FAMILY, ENDS})
_CLAUDE: Final = re.compile(r"_session_([0-9A-Za-z-]+)\Z")


class Hint(NamedTuple):
    """Hashes of the ids that a client gave; empty for what it did not give."""

    own: bytes = b""
    """The id of this chain of prompts."""
    family: bytes = b""
    """The id that it shares with its relatives."""
    ends: bool = False
    """The session ends with this request."""
    dropped: bool = False
    """The client gave something that is no id."""


NO_HINT: Final = Hint()
NOTHING: Final = (b"", b"", b"")
Said = TypeVar("Said")


class _User(msgspec.Struct):
    session_id: str = ""


class _Metadata(msgspec.Struct):
    user_id: str = ""
    session_id: str = ""


class HintReader:
    """Reads and hashes ids. `secret`: the same on routers that share what they know of sessions."""

    def __init__(self, secret: bytes) -> None:
        self._key = blake2b(secret, person=b"session names", digest_size=32).digest()

    def read(self, client: str, model: str, headers: Iterable[tuple[bytes, bytes]], fields: Fields) -> Hint:
        """The hint of one request. The names of `headers` are in lower case."""
        given = {name: value for name, value in headers if name in _READ}
        claude, others = (b"", b"") if fields.metadata is ABSENT else _of_metadata(fields.metadata)
        texts = _text(fields.prompt_cache_key), _text(fields.session_id), others
        if not (given or claude != b"" or texts != NOTHING):
            return NO_HINT
        said = {name: value for name, value in given.items() if len(value) <= MAX_ID_BYTES}
        dropped = claude is None or None in texts or len(said) < len(given)
        keyed = texts[0] or texts[1] or texts[2] or b""
        own = _first(OWN[:2], said) or claude or _first(OWN[2:], said)
        family = _first(FAMILY[:1], said) or claude or _first(FAMILY[1:], said) or keyed or own
        ends = said.get(ENDS, b"").lower() not in NO
        named = self._hash(client, model, family)
        return Hint(named if own == family else self._hash(client, model, own), named, ends, dropped)

    def _hash(self, client: str, model: str, said: bytes) -> bytes:
        if not said:
            return b""
        whole = f"{client}\0{model}\0".encode() + said
        return blake2b(whole, key=self._key, digest_size=HASH_BYTES).digest()


def with_header(headers: Sequence[tuple[bytes, bytes]], session: bytes) -> Sequence[tuple[bytes, bytes]]:
    """The headers, and the value of the one that the operator has named, in place of one that is read."""
    return [*headers, (b"x-session-id", session)] if session else headers


def _first(names: Iterable[bytes], said: Mapping[bytes, bytes]) -> bytes:
    return next((said[name] for name in names if said.get(name)), b"")


def _text(raw: Raw) -> bytes | None:
    """A field that is a string, decoded; None for anything else that is given."""
    if raw is ABSENT:
        return b""
    value = given(raw)
    found = _decoded(value, str) if len(value) <= 2 * MAX_ID_BYTES else None
    return _bounded(found) if found is not None else None if value else b""


def _of_metadata(raw: Raw) -> tuple[bytes | None, bytes | None]:
    """What Claude Code and others put there: `user_id`, as JSON or behind `_session_`, and `session_id`. None for
    what is not to be read."""
    value = given(raw)
    if not value:
        return b"", b""
    found = _decoded(value, _Metadata) if len(value) <= MAX_METADATA_BYTES else None
    if found is None:
        return b"", None
    if found.user_id.startswith("{"):
        user = _decoded(found.user_id.encode("utf-8", "replace"), _User)
        claude = None if user is None else _bounded(user.session_id)
    else:
        behind = _CLAUDE.search(found.user_id)
        claude = b"" if behind is None else _bounded(behind[1])
    return claude, _bounded(found.session_id)


def _decoded(value: bytes, kind: type[Said]) -> Said | None:
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _bounded(text: str) -> bytes | None:
    value = text.encode("utf-8", "replace")
    return value if len(value) <= MAX_ID_BYTES else None
