"""One worker: what its engine says of itself, whether it reports what it cached, and whether it sees the same ids."""

import asyncio
from array import array
from collections.abc import Iterator

import httpx
import msgspec

from router.check.finding import Finding
from router.engines import AnswerFault, WorkerAnswerError, fetch
from router.engines.ids import IDS_ENDPOINTS, answers, ask, is_absent
from router.fleet.in_words import in_words
from router.fleet.worker import Worker, WorkerState
from router.prompts.encoding import Encoder
from tokenizer_cache.bodies.request import Request, parse
from tokenizer_cache.encoder import PromptEncoder

CHAT = "/v1/chat/completions"
MAX_MODELS = 8
"""Models of one worker that are asked for a token."""
ADVICE = {
    "connection refused": "start the engine there, or mend the host and port of --worker",
    "no answer in time": "is the address right, and does a firewall let the router through?",
    "no answer": "is it http or https, and is the certificate known (--worker-ca)?",
    "HTTP 401": "set --worker-api-key to the engine's --api-key",
    "HTTP 403": "set --worker-api-key to the engine's --api-key",
    "HTTP 404": "give the engine's base address, without /v1 or another path",
}
"""By what a reason contains; the first that does."""
SAMPLE = {
    "messages": [
        {"role": "system", "content": "You are a careful assistant.  Two spaces, a tab\there, an umlaut: ü."},
        {"role": "user", "content": "Say yes.\n\n```python\nprint(1)\n```"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Again?"},
    ]
}


def of_state(worker: Worker) -> Iterator[Finding]:
    """What the router itself would make of the worker."""
    url, facts = worker.name, worker.facts
    if worker.state is not WorkerState.HEALTHY or facts is None:
        yield Finding("error", url, worker.reason, advice_for(worker.reason))
        return
    yield Finding("ok", url, in_words(worker))
    if facts.engine == "unknown":
        text = "it is neither vLLM nor SGLang: prompts are compared as text, and its memory is unknown"
        yield Finding("warning", url, text, "for vLLM behind a proxy let /metrics and /version through")
        return
    if not facts.prefix_caching:
        text = "prefix caching is off: no prompt is ever cached"
        yield Finding("error", url, text, "vLLM: --enable-prefix-caching; SGLang: without --disable-radix-cache")
    if not facts.kv_capacity_tokens:
        yield Finding("warning", url, "it does not tell its KV memory", "set --default-kv-tokens")
    if worker.load is None:
        yield Finding("warning", url, "it shows no load", "SGLang: --enable-metrics; vLLM: without --disable-log-stats")


async def of_answers(client: httpx.AsyncClient, worker: Worker, encoders: dict[str, Encoder]) -> list[Finding]:
    """What one generated token and one rendered prompt show. Only for a healthy vLLM or SGLang."""
    found = []
    bases = [card for card in worker.models if not card.parent]  # an adapter shares its base model's tokenizer
    for card in bases[:MAX_MODELS]:
        request = parse("chat", msgspec.json.encode({"model": card.id, **SAMPLE, "max_tokens": 1}))
        found.append(await _usage(client, worker, request))
        if card.id in encoders:
            found.append(await _ids(client, worker, request, encoders[card.id]))
    return found


def advice_for(reason: str) -> str:
    """What to do about a worker that cannot be used."""
    return next((advice for part, advice in ADVICE.items() if part in reason), "see the engine's log")


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens_details: _Details | None = None


class _Answer(msgspec.Struct):
    usage: _Usage | None = None


async def _usage(client: httpx.AsyncClient, worker: Worker, request: Request) -> Finding:
    """Does an answer say how much of its prompt was cached? Without it no prediction is ever checked."""
    advice = "vLLM: --enable-prompt-tokens-details; SGLang: --enable-cache-report"
    try:
        answer = msgspec.json.decode(await fetch(client, worker.url, CHAT, bytes(request.body)), type=_Answer)
    except WorkerAnswerError as error:
        return Finding(
            "warning", worker.url, f"a prompt for {request.model} got no answer ({error})", advice_for(str(error))
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Finding(
            "error", worker.url, f"a prompt for {request.model} got an answer that is no JSON", "is it an engine?"
        )
    if answer.usage is None or answer.usage.prompt_tokens_details is None:
        return Finding("warning", worker.url, f"answers of {request.model} do not say what was cached", advice)
    return Finding("ok", worker.url, f"answers of {request.model} say what was cached")


async def _ids(client: httpx.AsyncClient, worker: Worker, request: Request, encoder: Encoder) -> Finding:
    """Are the ids that the router counts with those that the engine sees?"""
    model, engine = request.model, worker.facts.engine if worker.facts is not None else ""
    if not isinstance(encoder, PromptEncoder):
        text = f"prompts of {model} are not exact: its tokenizer is not loaded"
        return Finding("warning", worker.url, text, "set --tokenizer to a folder, a hub id or package:NAME")
    prompt = await asyncio.to_thread(encoder.encode, request)
    for endpoint in IDS_ENDPOINTS[engine]:
        if not answers(engine, endpoint, request):
            continue
        try:
            theirs = await ask(client, worker.url, endpoint, request)
        except WorkerAnswerError as error:
            if is_absent(error) or error.fault is AnswerFault.STATUS:
                continue
            return Finding("warning", worker.url, f"it does not give the ids of a prompt of {model} ({error})")
        if not prompt.exact or array("I", prompt.ids).tolist() != list(theirs):
            text = f"a prompt of {model} has {len(theirs)} token ids there and {prompt.tokens} others here"
            advice = "another tokenizer or chat template: set --model-tokenizer or --model-chat-template"
            return Finding("error", worker.url, text, advice)
        return Finding("ok", worker.url, f"prompts of {model} have the same token ids here and there")
    return Finding("warning", worker.url, f"it does not give the ids of prompts of {model}: not compared")
