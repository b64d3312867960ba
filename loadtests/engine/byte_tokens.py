"""A tokenizer that costs next to nothing: four bytes of the canonical text are one token.

For benchmarks, where the worker shares the machine with the router under test. Every part of a prompt is padded to
whole tokens, so that a conversation that grows keeps its tokens, and an answer sent back has the ids it was made with.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from loadtests.engine.chains import Ids, pseudo_random
from loadtests.engine.errors import Refused
from loadtests.engine.prompts import Body, Words

_FIRST = ("Here", "This", "That", "Then", "When", "Once", "Well", "Fine", "Sure", "Good", "Next", "Done")
WORDS = (
    *(" the", " and", " for", " you", " was", " not", " are", " but", " can", " had", " has", " her", " his", " how"),
    *(" its", " let", " may", " new", " now", " off", " old", " one", " our", " out", " own", " run", " say", " see"),
    *(" set", " she", " six", " ten", " top", " try", " two", " use", " way", " who", " why", " win", " yes", " yet"),
)
_FIRST_IDS = np.frombuffer("".join(_FIRST).encode(), dtype="<u4")
_REST_IDS = np.frombuffer("".join(WORDS).encode(), dtype="<u4")
_FIRST_TEXTS = [word.encode() for word in _FIRST]
_REST_TEXTS = [word.encode() for word in WORDS]
_ROLES = {"user": b"\1user\0\0\0", "assistant": b"\1assistant\0\0", "tool": b"\1tool\0\0\0"}
_PADS = (b"", b"\0\0\0", b"\0\0", b"\0")


class ByteTokens:
    """Four bytes, one token."""

    async def conversation(self, api: str, body: Body) -> Ids:
        return _ids(_PARTS[api](body))

    async def text(self, text: str, add_special_tokens: bool) -> Ids:
        return _ids(_padded(text))

    def words(self, seed: int, count: int) -> Words:
        numbers = pseudo_random(seed, count)
        first = int(numbers[0]) % len(_FIRST)
        rest = (numbers[1:] % np.uint64(len(WORDS))).astype(np.intp)
        ids = np.concatenate((_FIRST_IDS[first : first + 1], _REST_IDS[rest]))
        return Words(ids, [_FIRST_TEXTS[first], *[_REST_TEXTS[index] for index in rest.tolist()]])

    def decode(self, ids: Sequence[int]) -> str:
        return np.array(ids, dtype="<u4").tobytes().replace(b"\0", b"").decode("utf-8", "replace")


def chat_ids(body: Body) -> Ids:
    """The ids of a chat request. Raises Refused where the messages cannot be read."""
    return _ids(_chat(body))


def _ids(pieces: list[bytes]) -> Ids:
    return np.frombuffer(b"".join(pieces), dtype="<u4")


def _padded(text: str) -> list[bytes]:
    data = text.encode("utf-8", "surrogatepass")
    return [data, _PADS[len(data) & 3]]


def _chat(body: Body) -> list[bytes]:
    return _tools(body) + _messages(body.get("messages"))


def _anthropic(body: Body) -> list[bytes]:
    return _tools(body) + _system(body.get("system")) + _messages(body.get("messages"))


def _responses(body: Body) -> list[bytes]:
    given = body.get("input")
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
    return _tools(body) + _system(body.get("instructions")) + _messages(messages)


_PARTS = {"chat": _chat, "messages": _anthropic, "responses": _responses}


def _tools(body: Body) -> list[bytes]:
    return _json(body["tools"]) if body.get("tools") else []


def _system(content: object) -> list[bytes]:
    return [*_padded("\1system"), *_content(content)] if content else []


def _messages(messages: object) -> list[bytes]:
    """The bytes of each message. This loop is most of what a long prompt costs."""
    if not isinstance(messages, list) or not messages:
        raise Refused(400, "messages must be a list that is not empty", "messages")
    pieces: list[bytes] = []
    for message in messages:
        if not isinstance(message, dict):
            raise Refused(400, "a message must be an object", "messages")
        pieces.append(_header(message.get("role", message.get("type"))))
        content = message.get("content")
        if isinstance(content, str):
            data = content.encode("utf-8", "surrogatepass")
            pieces += (data, _PADS[len(data) & 3])
        else:
            pieces += _content(content)
        if len(message) > 2:
            rest = {name: value for name, value in message.items() if value and name not in ("role", "content")}
            pieces += _json(rest)
    return pieces + _padded("\1assistant")


def _header(role: object) -> bytes:
    known = _ROLES.get(role) if isinstance(role, str) else None
    return known or b"".join(_padded(f"\1{role}"))


def _content(content: object) -> list[bytes]:
    if isinstance(content, str):
        return _padded(content)
    if isinstance(content, list):
        return [piece for part in content for piece in _part(part)]
    if content is not None:
        raise Refused(400, "content must be a string or a list of parts", "messages")
    return []


def _part(part: object) -> list[bytes]:
    text = part.get("text") if isinstance(part, dict) else None
    return _padded(text) if isinstance(text, str) else _json(part)


def _json(value: object) -> list[bytes]:
    return _padded(msgspec.json.encode(value).decode())
