"""What an engine answers on chat and completions: the whole JSON, or SSE frames, as vLLM writes them.

A chunk is bytes joined around a word: a streamed answer costs the emulator almost nothing, so that the router beside
it on the same machine can be measured.
"""

from typing import Any, Protocol

import msgspec

from loadtests.engine.calls import Call, Choice

encode = msgspec.json.encode
DONE = b"data: [DONE]\n\n"


class Reply(Protocol):
    """One answer in the making. A streamed one is early, opening, deltas, closing; any other is `whole`."""

    content_id: str
    """The answer's `id`."""

    def early(self) -> bytes:
        """Sent at once, with the headers: before prefill. Mostly nothing."""
        ...

    def opening(self) -> bytes:
        """Sent when the first token of the first choice is made."""
        ...

    def delta(self, choice: Choice) -> bytes:
        """The frames of the choice's next token, which is `choice.words[choice.sent]`."""
        ...

    def closing(self) -> bytes:
        """All after the last token of the last choice."""
        ...

    def whole(self) -> bytes:
        """The body of an answer that is not streamed."""
        ...


def usage_of(call: Call) -> dict[str, Any]:
    """OpenAI's usage object, with what the prefix cache gave."""
    prompt, answer = call.prompt_tokens, call.answer_tokens
    return {
        "prompt_tokens": prompt,
        "total_tokens": prompt + answer,
        "completion_tokens": answer,
        "prompt_tokens_details": {"cached_tokens": call.cached_tokens},
    }


def pieces_of(call: Call, choice: Choice) -> list[str]:
    """The text of each token; those of a tool call join to its arguments, in JSON."""
    pieces = [text.decode() for text in choice.words.texts]
    if call.tool is None:
        return pieces
    if call.tool.argument is None:
        return ["{}", *[""] * (len(pieces) - 1)]
    pieces[0] = f'{{{encode(call.tool.argument).decode()}: "{pieces[0]}'
    pieces[-1] += '"}'
    return pieces


class ChatReply:
    """`/v1/chat/completions`."""

    def __init__(self, call: Call) -> None:
        self.content_id = f"chatcmpl-{call.request_id}"
        self._call = call
        self._call_id = f"chatcmpl-tool-{call.request_id}"
        self._head = _head(self.content_id, "chat.completion.chunk", call)
        self._finish = "tool_calls" if call.tool else call.finish

    def early(self) -> bytes:
        return b""

    def opening(self) -> bytes:
        ids = b""
        if self._call.return_ids:
            ids = b',"prompt_token_ids":' + encode(self._call.choices[0].prompt.tolist())
        delta = b',"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]'
        return b"".join(
            b'%s"choices":[{"index":%d%s%s}\n\n' % (self._head, choice.index, delta, ids)
            for choice in self._call.choices
        )

    def delta(self, choice: Choice) -> bytes:
        if self._call.tool is None:
            delta = b'{"content":"%s"}' % choice.words.texts[choice.sent]
        else:
            delta = encode({"tool_calls": [self._tool_delta(choice)]})
        return _chunk(self._head, self._call, choice, b'"delta":%s,"logprobs":null' % delta, self._finish)

    def _tool_delta(self, choice: Choice) -> dict[str, Any]:
        assert self._call.tool is not None
        function = {"arguments": pieces_of(self._call, choice)[choice.sent]}
        if choice.sent:
            return {"index": 0, "function": function}
        return {
            "id": self._call_id,
            "type": "function",
            "index": 0,
            "function": {"name": self._call.tool.name, **function},
        }

    def closing(self) -> bytes:
        return _usage_chunk(self._head, self._call) + DONE

    def whole(self) -> bytes:
        body: dict[str, Any] = _whole_head(self.content_id, "chat.completion", self._call)
        body["choices"] = [self._whole_choice(choice) for choice in self._call.choices]
        body["prompt_token_ids"] = self._call.choices[0].prompt.tolist() if self._call.return_ids else None
        return encode(body)

    def _whole_choice(self, choice: Choice) -> dict[str, Any]:
        text = "".join(pieces_of(self._call, choice))
        message: dict[str, Any] = {"role": "assistant", "content": text, "tool_calls": []}
        if self._call.tool:
            function = {"name": self._call.tool.name, "arguments": text}
            message["content"] = None
            message["tool_calls"] = [{"id": self._call_id, "type": "function", "function": function}]
        return {
            "index": choice.index,
            "message": message,
            "logprobs": None,
            "finish_reason": self._finish,
            "stop_reason": None,
            "token_ids": choice.words.ids.tolist() if self._call.return_ids else None,
        }


class CompletionReply:
    """`/v1/completions`; the choices of several prompts follow each other."""

    def __init__(self, call: Call) -> None:
        self.content_id = f"cmpl-{call.request_id}"
        self._call = call
        self._head = _head(self.content_id, "text_completion", call)

    def early(self) -> bytes:
        return b""

    def opening(self) -> bytes:
        return b""

    def delta(self, choice: Choice) -> bytes:
        own = b'"text":"%s","logprobs":null' % choice.words.texts[choice.sent]
        if self._call.return_ids and not choice.sent:
            own += b',"prompt_token_ids":' + encode(choice.prompt.tolist())
        return _chunk(self._head, self._call, choice, own, self._call.finish)

    def closing(self) -> bytes:
        return _usage_chunk(self._head, self._call) + DONE

    def whole(self) -> bytes:
        body: dict[str, Any] = _whole_head(self.content_id, "text_completion", self._call)
        body["choices"] = [self._whole_choice(choice) for choice in self._call.choices]
        return encode(body)

    def _whole_choice(self, choice: Choice) -> dict[str, Any]:
        return {
            "index": choice.index,
            "text": b"".join(choice.words.texts).decode(),
            "logprobs": None,
            "finish_reason": self._call.finish,
            "stop_reason": None,
            "token_ids": choice.words.ids.tolist() if self._call.return_ids else None,
            "prompt_token_ids": choice.prompt.tolist() if self._call.return_ids else None,
        }


def _head(content_id: str, kind: str, call: Call) -> bytes:
    fields = encode({"id": content_id, "object": kind, "created": call.created, "model": call.model})
    return b"data: " + fields[:-1] + b","


def _chunk(head: bytes, call: Call, choice: Choice, own: bytes, finish: str) -> bytes:
    last = choice.sent == len(choice.words.texts) - 1
    end = b'"%s","stop_reason":null' % finish.encode() if last else b"null"
    ids = b',"token_ids":[%d]' % choice.words.ids[choice.sent] if call.return_ids else b""
    return b'%s"choices":[{"index":%d,%s,"finish_reason":%s%s}]}\n\n' % (head, choice.index, own, end, ids)


def _usage_chunk(head: bytes, call: Call) -> bytes:
    return head + b'"choices":[],"usage":' + encode(usage_of(call)) + b"}\n\n" if call.include_usage else b""


def _whole_head(content_id: str, kind: str, call: Call) -> dict[str, Any]:
    head = {"id": content_id, "object": kind, "created": call.created, "model": call.model}
    return {**head, "usage": usage_of(call)}
