"""Writes answers directly to the client's connection: what uvicorn's `send` does, in one write where possible.

The head waits for the first piece of the body, so that a short answer is one system call. The cycle's state is kept as
uvicorn keeps it, because uvicorn reads it afterwards. The code that makes the headers has checked them.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

BODYLESS = frozenset({204, 304})
MAX_JOINED_BYTES = 1 << 16
"""Larger pieces are written separately: copying them costs more than a system call."""


def opening(cycle: Any, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Begin the answer: returns its head, which is written with the first piece of the body. Names are in lower
    case."""
    cycle.response_started = True
    cycle.waiting_for_100_continue = False
    lines = [STATUS_LINE[status]]
    for name, value in headers:
        if name == b"content-length" and cycle.chunked_encoding is None:
            cycle.expected_content_length = int(value)
            cycle.chunked_encoding = False
        lines.append(b"%b: %b\r\n" % (name, value))
    if not cycle.keep_alive:
        lines.append(b"connection: close\r\n")
    if cycle.chunked_encoding is None and cycle.scope["method"] != "HEAD" and status not in BODYLESS:
        if cycle.scope["http_version"] == "1.0":  # HTTP/1.0 has no chunks: its answer ends with the connection
            cycle.chunked_encoding, cycle.expected_content_length = False, None
        else:
            cycle.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def can_write(cycle: Any) -> bool:
    """A piece of a chunked answer can be written at once."""
    return bool(cycle.chunked_encoding) and not cycle.disconnected and not cycle.flow.write_paused


def write_chunk(cycle: Any, chunk: bytes) -> bool:
    """Write one piece of a chunked answer that continues, which happens for every token. Returns False in every other
    case: then `write_body` must do it."""
    if not cycle.chunked_encoding or cycle.disconnected or cycle.flow.write_paused or not chunk:
        return False
    cycle.transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
    return True


def write_body(cycle: Any, head: bytes, chunk: bytes, more: bool) -> None:
    """Write a piece of any answer, with the head if that is not written yet; nothing after the end of a complete
    answer. Raises RuntimeError if the answer's length differs from its head."""
    if cycle.response_complete:
        return
    pieces = [head] if head else []
    if cycle.scope["method"] == "HEAD":
        cycle.expected_content_length = 0
    elif cycle.chunked_encoding:
        pieces += (b"%x\r\n" % len(chunk), chunk, b"\r\n") if chunk else ()
        pieces += () if more else (b"0\r\n\r\n",)
    else:
        if cycle.expected_content_length is not None:
            cycle.expected_content_length -= len(chunk)
        pieces += (chunk,) if chunk else ()
    if cycle.expected_content_length and (not more or cycle.expected_content_length < 0):
        raise RuntimeError("the answer is not as long as its head says")
    if len(chunk) > MAX_JOINED_BYTES:
        cycle.transport.writelines(pieces)
    elif pieces:
        cycle.transport.write(b"".join(pieces))
    if not more:
        _complete(cycle)


def _complete(cycle: Any) -> None:
    cycle.response_complete = True
    cycle.chunked_encoding = False  # `write_chunk` refuses, at no cost for each token
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
