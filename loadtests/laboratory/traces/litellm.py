"""LiteLLM's own logs: a line for each request, as its file, S3 and GCS loggers write them (`StandardLoggingPayload`).

They become rows of a log of one's own. What failed or is no chat is left out. Logs that were told to leave messages out
cannot be used, and say so.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

MARKS = {"startTime", "messages"}
"""Fields by which a line is recognised."""


class Logged(msgspec.Struct, frozen=True, rename="camel"):
    """What is used of a line."""

    start_time: float | str
    end_time: float | str
    messages: list[dict[str, Any]] | str | dict[str, Any] | None = None
    completion_tokens: int | None = msgspec.field(default=None, name="completion_tokens")
    status: str = "success"
    model_parameters: dict[str, Any] | None = msgspec.field(default=None, name="model_parameters")


def log_rows(rows: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """As `requests` reads them. Raises msgspec.ValidationError."""
    for row in rows:
        line = msgspec.convert(row, Logged)
        if isinstance(line.messages, str):
            raise msgspec.ValidationError("messages are no list: this log was told to leave them out")
        if line.status != "success" or not isinstance(line.messages, list) or not line.messages:
            continue
        began, ended = _seconds(line.start_time), _seconds(line.end_time)
        body: dict[str, Any] = {"messages": line.messages}
        if isinstance(tools := (line.model_parameters or {}).get("tools"), list):
            body["tools"] = tools
        yield {
            "t": began,
            "body": body,
            "answer_tokens": line.completion_tokens,
            "took_s": max(0.0, ended - began),
        }


def _seconds(time: float | str) -> float:
    """Since 1970."""
    if not isinstance(time, str):
        return time
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        raise msgspec.ValidationError(f"no time: {time[:40]!r}") from None
