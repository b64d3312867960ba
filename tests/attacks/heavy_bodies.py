"""Requests of 1 MB that are as much work as possible: many items, many values, deep, dense, or long without an end."""

from collections.abc import Callable
from functools import cache
from typing import Final

SIZE: Final = 1_000_000
CHAT, COMPLETIONS, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"
EMBEDDINGS, TOKENIZE, TRANSCRIPTIONS = "/v1/embeddings", "/tokenize", "/v1/audio/transcriptions"
_USER: Final = b'{"role":"user","content":"x"}'


def _fill(unit: bytes, size: int = SIZE) -> bytes:
    return b",".join([unit] * (size // (len(unit) + 1)))


def _list(name: bytes, unit: bytes, before: bytes = b"") -> bytes:
    return b'%b"%b":[%b]' % (before, name, _fill(unit))


def _said(content: bytes) -> bytes:
    return b'"messages":[{"role":"user","content":%b}]' % content


def _after(field: bytes) -> bytes:
    return b'%b,"messages":[%b]' % (field, _USER)


def _keys() -> bytes:
    return b",".join(b'"k%d":0' % number for number in range(SIZE // 10))


def _called(arguments: bytes) -> bytes:
    call = b'{"id":"a","type":"function","function":{"name":"f","arguments":%b}}' % arguments
    return b'"messages":[%b,{"role":"assistant","tool_calls":[%b]},%b]' % (_USER, call, _USER)


_BODIES: Final[dict[str, tuple[str, Callable[[], bytes]]]] = {
    "zeros": (CHAT, lambda: _list(b"messages", b"0")),
    "empty objects": (CHAT, lambda: _list(b"messages", b"{}")),
    "tiny messages": (CHAT, lambda: _list(b"messages", b'{"role":"user","content":""}')),
    "8,000 messages": (CHAT, lambda: _list(b"messages", b'{"role":"user","content":"%b"}' % (b"ab " * 32))),
    "messages given 60,000 times": (CHAT, lambda: _fill(b'"messages":[0]')),
    "nested in a message": (CHAT, lambda: _said(_fill(b"[" * 900 + b"]" * 900).join((b"[", b"]")))),
    "parts": (CHAT, lambda: _said(b"[%b]" % _fill(b'{"type":"text","text":"a"}'))),
    "tools": (CHAT, lambda: _after(_list(b"tools", b'{"type":"function","function":{"name":"f"}}'))),
    "fields": (CHAT, lambda: _after(_keys())),
    "keys in a message": (CHAT, lambda: b'"messages":[{"role":"user","content":"x",%b}]' % _keys()),
    "template arguments": (CHAT, lambda: _after(b'"chat_template_kwargs":{%b}' % _keys())),
    "arguments of a call": (CHAT, lambda: _called(b'"{%b}"' % _keys().replace(b'"', b'\\"'))),
    "token ids": (CHAT, lambda: _after(b'"kv_transfer_params":{"prompt_token_ids":[%b]}' % _fill(b"1"))),
    "escapes": (CHAT, lambda: _said(b'"%b"' % (b"\\u0041" * (SIZE // 6)))),
    "spaces": (CHAT, lambda: _said(b'"%b"' % (b" " * SIZE))),
    "lists of one id": (COMPLETIONS, lambda: _list(b"prompt", b"[1]")),
    "500,000 ids": (COMPLETIONS, lambda: _list(b"prompt", b"1")),
    "4,000 texts": (COMPLETIONS, lambda: b'"prompt":[%b]' % b",".join([b'"a"'] * 4000)),
    "input items": (RESPONSES, lambda: _list(b"input", b'{"type":"reasoning","summary":[]}')),
    "system blocks": (MESSAGES, lambda: _after(_list(b"system", b'{"type":"text","text":"a"}'))),
    "results": (MESSAGES, lambda: _said(b"[%b]" % _fill(b'{"type":"tool_result","tool_use_id":"a","content":"b"}'))),
}
KINDS: Final = tuple(_BODIES)


def _form(*parts: bytes) -> bytes:
    return b"".join(b"--b\r\n%b\r\n" % part for part in parts) + b"--b--\r\n"


_MODEL: Final = b'content-disposition: form-data; name="model"\r\n\r\nm'
_HEADS: Final = b"a:b\r\n" * 800 + b'content-disposition: form-data; name="a"\r\n\r\nb'
_FILE: Final = b'content-disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"\r\n--" * (SIZE // 4)
_LOADS: Final[dict[str, tuple[str, Callable[[], bytes]]]] = {
    "texts to embed": (EMBEDDINGS, lambda: _json(_list(b"input", b'"a"'))),
    "deep text to embed": (EMBEDDINGS, lambda: _json(b'"input":[%b]' % _fill(b"[" * 900 + b"]" * 900))),
    "fields beside a text to embed": (EMBEDDINGS, lambda: _json(b'"input":"x",' + _keys())),
    "model given 80,000 times": (EMBEDDINGS, lambda: _json(_fill(b'"model":"m"'))),
    "fields of what to tokenize": (TOKENIZE, lambda: _json(b'"prompt":"x",' + _keys())),
    "spaces before what to tokenize": (TOKENIZE, lambda: _json(b" " * SIZE + b'"prompt":"x"')),
    "heads of a form": (TRANSCRIPTIONS, lambda: _form(_MODEL, *[_HEADS] * 60)),
    "file of a form": (TRANSCRIPTIONS, lambda: _form(_MODEL, _FILE)),
    "fields of a query": (EMBEDDINGS + "?" + "a&" * 12_000, lambda: _json(b'"input":"x"')),
    "objects for the admin": ("/admin/workers", lambda: _json(_list(b"url", b"{}"))),
    "fields to explain": ("/admin/explain", lambda: _json(_after(_keys()))),
}
LOAD_KINDS: Final = tuple(_LOADS)


def _json(fields: bytes, number: int = 0) -> bytes:
    return b'{"model":"m","max_tokens":1,"cache_salt":"%d",%b}' % (number, fields)


@cache
def _made(kind: str) -> tuple[str, bytes]:
    path, make = _LOADS.get(kind) or _BODIES[kind]
    return path, make()


def heavy(kind: str, number: int, key: str) -> bytes:
    """One request of this kind. No two prompts of a kind are the same."""
    path, made = _made(kind)
    body = made if kind in _LOADS else _json(made, number)
    content_type = "multipart/form-data; boundary=b" if path == TRANSCRIPTIONS else "application/json"
    lines = [f"POST {path} HTTP/1.1", "host: x", f"authorization: Bearer {key}", f"content-type: {content_type}"]
    return "\r\n".join([*lines, f"content-length: {len(body)}"]).encode() + b"\r\n\r\n" + body
