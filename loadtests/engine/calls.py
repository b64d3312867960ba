"""A generating request, read and checked: what is asked for, and the choices that will answer it."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xxhash

from loadtests.engine.chains import ChainHasher, Ids, root_of
from loadtests.engine.errors import Refused
from loadtests.engine.job import Job, Origin
from loadtests.engine.prompts import Body, TokenSource, Words, prompts_of

DEFAULT_ANSWER_TOKENS = 16
CALL_THE_TOOL = "call the tool"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The call that the answer makes: its only argument's value is the answer's words."""

    name: str
    argument: str | None
    """Name of the argument; None for a function without parameters."""


@dataclass(slots=True)
class Choice:
    """One answer to one prompt."""

    index: int
    prompt: Ids
    words: Words
    job: Job
    sent: int = 0
    """Tokens that the stream has passed on."""


@dataclass(slots=True)
class Call:
    """One request. `choices` come in the order of their index."""

    api: str
    body: Body
    model: str
    request_id: str
    choices: list[Choice] = field(default_factory=list)
    tool: ToolCall | None = None
    created: int = field(default_factory=lambda: int(time.time()))
    finish: str = "stop"
    """`stop`, or `length` when the client set a limit: the answers have no end of their own."""

    @property
    def stream(self) -> bool:
        return self.body.get("stream") is True

    @property
    def return_ids(self) -> bool:
        return self.body.get("return_token_ids") is True

    @property
    def include_usage(self) -> bool:
        options = self.body.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True

    @property
    def prompt_tokens(self) -> int:
        """Over all prompts, each counted once however many answers it has."""
        answers = self.body.get("n") or 1
        return sum(choice.job.prompt_tokens for choice in self.choices[::answers])

    @property
    def cached_tokens(self) -> int:
        answers = self.body.get("n") or 1
        return sum(choice.job.cached_tokens for choice in self.choices[::answers])

    @property
    def answer_tokens(self) -> int:
        return sum(choice.job.made for choice in self.choices)


@dataclass(frozen=True, slots=True)
class CallReader:
    """Turns bodies into calls for one engine."""

    source: TokenSource
    hasher: ChainHasher
    max_model_len: int
    seed: int
    loras: tuple[str, ...] = ()

    async def read(self, api: str, body: Body, model: str, request_id: str) -> Call:
        """The call with its jobs, not yet submitted. Raises Refused(400)."""
        call = Call(api, body, model, request_id)
        answers, limit = _checked(api, body)
        if limit is not None:
            call.finish = "length"
        call.tool = _tool(api, body)
        prompts = await prompts_of(self.source, api, body)
        for prompt in prompts:
            for _ in range(answers):
                tokens = DEFAULT_ANSWER_TOKENS if limit is None else limit
                call.choices.append(self._choice(call, len(call.choices), prompt, tokens))
        return call

    def _choice(self, call: Call, index: int, prompt: Ids, answer_tokens: int) -> Choice:
        room = self.max_model_len - len(prompt)
        if room < 1:
            raise Refused(
                400,
                f"This model's maximum context length is {self.max_model_len} tokens. However, your request has "
                f"{len(prompt)} input tokens. Please reduce the length of the input.",
            )
        seed = xxhash.xxh3_64_intdigest(prompt.tobytes(), self.seed + index)
        words = self.source.words(seed, max(1, min(answer_tokens, room)))
        return Choice(index, prompt, words, self._job(call, prompt, words))

    def _job(self, call: Call, prompt: Ids, words: Words) -> Job:
        if not len(prompt):
            raise Refused(400, "The prompt must not be empty.", "prompt")
        body = call.body
        root = root_of(call.model, str(body.get("cache_salt") or ""), str(body.get("extra_key") or ""))
        logprobs = body.get("prompt_logprobs") is not None or (body.get("echo") is True and body.get("logprobs"))
        ids = np.concatenate((prompt, words.ids))
        salt = str(body.get("cache_salt") or "")
        return Job(
            chain=self.hasher.chain(ids, root),
            origin=Origin(ids, call.model if call.model in self.loras else None, salt),
            prompt_tokens=len(prompt),
            answer_tokens=len(words.ids),
            each_token=call.stream,
            use_cache=not logprobs,
        )


def _checked(api: str, body: Body) -> tuple[int, int | None]:
    """(answers per prompt, limit of tokens or None)."""
    if body.get("stream_options") is not None and body.get("stream") is not True:
        raise Refused(400, "Stream options can only be defined when `stream=True`.", "stream_options")
    answers = body.get("n")
    if answers is not None and (type(answers) is not int or not 1 <= answers <= 64):
        raise Refused(400, "n must be an integer from 1 to 64", "n")
    names = {"responses": ("max_output_tokens",), "chat": ("max_completion_tokens", "max_tokens")}
    for name in names.get(api, ("max_tokens",)):
        limit = body.get(name)
        if limit is not None and (type(limit) is not int or limit < 1):
            raise Refused(400, f"{name} must be an integer of at least 1", name)
        if limit is not None:
            return answers or 1, limit
    return answers or 1, None


def _tool(api: str, body: Body) -> ToolCall | None:
    """The first tool, if there are tools, and the request requires a call or its last message asks for it."""
    tools, said = body.get("tools"), body.get("input" if api == "responses" else "messages")
    if isinstance(said, list):
        said = said[-1].get("content") if said and isinstance(said[-1], dict) else None
    wanted = body.get("tool_choice") == "required" or CALL_THE_TOOL in str(said)
    if not isinstance(tools, list) or not tools or not wanted:
        return None
    function = _object(_object(tools[0]).get("function", tools[0]))
    parameters = _object(function.get("parameters", function.get("input_schema")))
    return ToolCall(str(function.get("name")), next(iter(_object(parameters.get("properties"))), None))


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
