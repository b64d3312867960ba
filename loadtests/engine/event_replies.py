"""What an engine answers on `/v1/messages` (Anthropic's events) and `/v1/responses` (OpenAI's), as vLLM words it.

Mind the difference: a stream of `/v1/responses` begins with two events that are sent before prefill.
"""

from typing import Any

from loadtests.engine.calls import Call, Choice
from loadtests.engine.replies import encode, pieces_of


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), encode({"type": name, **data}))


class MessagesReply:
    """`/v1/messages`: one block, of text or of tool use."""

    def __init__(self, call: Call) -> None:
        self.content_id = f"msg_{call.request_id}"
        self._call = call
        self._pieces = pieces_of(call, call.choices[0])
        self._stop = "tool_use" if call.tool else {"stop": "end_turn", "length": "max_tokens"}[call.finish]

    def early(self) -> bytes:
        return b""

    def opening(self) -> bytes:
        usage = {"input_tokens": self._call.prompt_tokens, "output_tokens": 0}
        message = {**self._message([], None), "usage": usage}
        return _event("message_start", {"message": message}) + _event(
            "content_block_start", {"index": 0, "content_block": self._block("", {})}
        )

    def delta(self, choice: Choice) -> bytes:
        piece = self._pieces[choice.sent]
        if self._call.tool:
            delta = {"type": "input_json_delta", "partial_json": piece}
        else:
            delta = {"type": "text_delta", "text": piece}
        return _event("content_block_delta", {"index": 0, "delta": delta})

    def closing(self) -> bytes:
        delta = {"stop_reason": self._stop, "stop_sequence": None}
        return (
            _event("content_block_stop", {"index": 0})
            + _event("message_delta", {"delta": delta, "usage": self._usage()})
            + _event("message_stop", {})
        )

    def whole(self) -> bytes:
        words = b"".join(self._call.choices[0].words.texts).decode()
        arguments = {self._call.tool.argument: words} if self._call.tool and self._call.tool.argument else {}
        return encode({**self._message([self._block(words, arguments)], self._stop), "usage": self._usage()})

    def _block(self, text: str, arguments: dict[str, str]) -> dict[str, Any]:
        if self._call.tool is None:
            return {"type": "text", "text": text}
        call_id = f"toolu_{self._call.request_id}"
        return {"type": "tool_use", "id": call_id, "name": self._call.tool.name, "input": arguments}

    def _message(self, content: list[dict[str, Any]], stop: str | None) -> dict[str, Any]:
        return {
            "id": self.content_id,
            "type": "message",
            "role": "assistant",
            "content": content,
            "model": self._call.model,
            "stop_reason": stop,
            "stop_sequence": None,
        }

    def _usage(self) -> dict[str, int]:
        """Anthropic's `input_tokens` leaves out what was cached."""
        cached = self._call.cached_tokens
        return {
            "input_tokens": self._call.prompt_tokens - cached,
            "output_tokens": self._call.answer_tokens,
            "cache_read_input_tokens": cached,
        }


class ResponsesReply:
    """`/v1/responses`: one output item, a message or a function call."""

    def __init__(self, call: Call) -> None:
        self.content_id = f"resp_{call.request_id}"
        self._call = call
        self._pieces = pieces_of(call, call.choices[0])
        self._item_id = f"{'fc' if call.tool else 'msg'}_{call.request_id}"
        self._numbers = 0

    def early(self) -> bytes:
        response = self.response("in_progress")
        return self._numbered("response.created", {"response": response}) + self._numbered(
            "response.in_progress", {"response": response}
        )

    def opening(self) -> bytes:
        item = {"output_index": 0, "item": self._item("in_progress", "")}
        added = self._numbered("response.output_item.added", item)
        if self._call.tool:
            return added
        return added + self._numbered("response.content_part.added", {**self._place(), "part": _text("")})

    def delta(self, choice: Choice) -> bytes:
        piece = self._pieces[choice.sent]
        if self._call.tool:
            data = {"item_id": self._item_id, "output_index": 0, "delta": piece}
            return self._numbered("response.function_call_arguments.delta", data)
        return self._numbered("response.output_text.delta", {**self._place(), "delta": piece, "logprobs": []})

    def closing(self) -> bytes:
        text = "".join(self._pieces)
        if self._call.tool:
            done = {"item_id": self._item_id, "output_index": 0, "arguments": text, "name": self._call.tool.name}
            frames = self._numbered("response.function_call_arguments.done", done)
        else:
            frames = self._numbered("response.output_text.done", {**self._place(), "text": text, "logprobs": []})
            frames += self._numbered("response.content_part.done", {**self._place(), "part": _text(text)})
        item = {"output_index": 0, "item": self._item("completed", text)}
        frames += self._numbered("response.output_item.done", item)
        return frames + self._numbered("response.completed", {"response": self.response(self._status())})

    def whole(self) -> bytes:
        return encode(self.response(self._status()))

    def response(self, status: str) -> dict[str, Any]:
        """The response object; complete, with output and usage, unless it is in progress."""
        running = status == "in_progress"
        return {
            "id": self.content_id,
            "object": "response",
            "created_at": self._call.created,
            "model": self._call.model,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": self._call.body.get("instructions"),
            "metadata": self._call.body.get("metadata"),
            "output": [] if running else [self._item("completed", "".join(self._pieces))],
            "parallel_tool_calls": True,
            "previous_response_id": self._call.body.get("previous_response_id"),
            "tool_choice": self._call.body.get("tool_choice", "auto"),
            "tools": self._call.body.get("tools") or [],
            "usage": None if running else self._usage(),
        }

    def _status(self) -> str:
        return "incomplete" if self._call.finish == "length" and not self._call.tool else "completed"

    def _item(self, status: str, text: str) -> dict[str, Any]:
        if self._call.tool:
            call = {"call_id": f"call_{self._call.request_id}", "name": self._call.tool.name, "arguments": text}
            return {"id": self._item_id, "type": "function_call", "status": status, **call}
        content = [_text(text)] if text else []
        return {"id": self._item_id, "type": "message", "role": "assistant", "status": status, "content": content}

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item_id, "output_index": 0, "content_index": 0}

    def _usage(self) -> dict[str, Any]:
        prompt, answer = self._call.prompt_tokens, self._call.answer_tokens
        return {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": self._call.cached_tokens},
            "output_tokens": answer,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + answer,
        }

    def _numbered(self, name: str, data: dict[str, Any]) -> bytes:
        frame = _event(name, {"sequence_number": self._numbers, **data})
        self._numbers += 1
        return frame


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
