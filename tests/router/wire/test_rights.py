"""What a key with rights and limits may not get by any way of writing its request: another model, or free tokens.

The worker serves every path and records what reached it; the client may use the model `m`, and not `other`.
"""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from router.wire.rights import MAX_QUERY_FIELDS
from router.wire.routes import COMPUTED_ENDPOINTS, FORM_ENDPOINTS, PROMPT_ROUTES, TEXT_ENDPOINTS
from tests.router.clients.files import table, write
from tests.router.fake_worker import Answer, FakeWorker, as_json, models, vllm
from tests.router.http.raw import wire
from tests.router.http.site import GOOD
from tests.routers import MODEL, RunningRouter, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/chat/completions"
TRANSCRIPTIONS = "/v1/audio/transcriptions"
EXTRA = "/generate"
LIMITED, PAYING, SALTED, FREE = "key-limited", "key-paying", "key-salted", "key-free"
FORM = "multipart/form-data; boundary=b"
MANY_TOKENS = 1_000_000


class Site(NamedTuple):
    router: RunningRouter
    worker: FakeWorker


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    keys = write(
        tmp_path_factory.mktemp("keys") / "keys",
        table("limited", LIMITED, more=f'models = ["{MODEL}", "mine"]'),
        table("paying", PAYING, more=f"uncached_tokens_per_minute = {MANY_TOKENS}"),
        table("salted", SALTED, more='cache_salt = "own"'),
        table("free", FREE),
    )
    worker = FakeWorker({**vllm(), "/v1/models": models(MODEL, other=MODEL, mine=MODEL)})
    paths = [*PROMPT_ROUTES, *COMPUTED_ENDPOINTS, *TEXT_ENDPOINTS, EXTRA]
    worker.routes |= {path: as_json({"usage": {"prompt_tokens": 7}}) for path in paths}
    async with worker, running_router(worker.url, keys_file=str(keys), extra_paths=(EXTRA,)) as router:
        yield Site(router, worker)


async def ask(site: Site, key: str, target: str, body: bytes, *content_types: str) -> tuple[int, dict[str, Any]]:
    """Status, and the answer's JSON."""
    lines = [f"POST {target} HTTP/1.1", "host: x", f"authorization: Bearer {key}", f"content-length: {len(body)}"]
    lines += [f"content-type: {kind}" for kind in content_types or ("application/json",)]
    async with wire(site.router.port) as client:
        await client.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        status, answer = await client.answer()
    return status, json.loads(answer)


def with_fields(path: str, added: bytes, model: str = MODEL) -> bytes:
    """A good body of this path with more written after its last field."""
    good = {**GOOD.get(path, {"input": "x"}), "model": model}
    return json.dumps(good).encode()[:-1] + added + b"}"


ANOTHER_MODEL = [
    b', "model": "other"',
    b', "model" : "m"',
    b', "\\u006dodel": "other"',
    b', "m\\u006Fdel": "other"',
    b', "mod\\u0065l": null',
    b', "lora_path": "other"',
    b', "lora_path": ["other"]',
    b', "lora_path": ["m", "other"]',
    b', "lora_path": {"x": 1}',
    b', "lora_path": 5',
    b', "lora_path": ""',
    b', "lora_path": "Other"',
    b', "lora_\\u0070ath": "other"',
    b', "lora_path": null, "lora_path": "other"',
    b', "lora_path": "other", "lora_path": null',
    b', "lora_id": "other"',
    b', "adapter_id": "other"',
    b', "x": {"model": "m"}, "model": "other"',
]
"""Written after the fields of a good body."""
OTHER_NAMES = ["other", "M", " m", "m ", "m:other", "m\x00", "", "m/", "../m", "other,m", "\u217f"]
JSON_PATHS = sorted({*PROMPT_ROUTES, *COMPUTED_ENDPOINTS, *TEXT_ENDPOINTS} - FORM_ENDPOINTS)


def cases() -> Iterator[tuple[str, bytes]]:
    for path in JSON_PATHS:
        for added in ANOTHER_MODEL:
            yield path, with_fields(path, added)
    for path in (*PROMPT_ROUTES, "/v1/embeddings"):
        for name in OTHER_NAMES:
            yield path, with_fields(path, b"", name)
        for value in (b"null", b"5", b'["m"]', b'{"m":1}', b"true"):
            yield path, with_fields(path, b"").replace(b'"model": "m"', b'"model": ' + value)
        yield path + "?model=other", with_fields(path, b"")
        yield path + "?x=1&%6dodel=m&model=other", with_fields(path, b"")
        yield path + "?lora_path=other", with_fields(path, b"")
        yield path, b"[" + with_fields(path, b"") + b"]"
        yield path, b'{"requests": [' + with_fields(path, b"", "other") + b"]}"
        yield path, with_fields(path, b"") + with_fields(path, b"", "other")
        yield path, "\ufeff".encode() + with_fields(path, b"", "other")
        yield path, with_fields(path, b"", "other").decode().encode("utf-16")


CASES = list(cases())


@pytest.mark.parametrize(("target", "body"), CASES, ids=[f"{target} {body[-40:]!r}" for target, body in CASES])
async def test_no_body_gets_another_model(site: Site, target: str, body: bytes) -> None:
    before = len(site.worker.sent)
    status, told = await ask(site, LIMITED, target, body)
    assert status in (400, 403), told
    assert told["error"]["message"]
    assert len(site.worker.sent) == before


MANY = b"".join(b', "k%d": 0' % number for number in range(20_000))


@pytest.mark.parametrize(
    ("target", "added", "message"),
    [
        ("/v1/embeddings?" + "a&" * MAX_QUERY_FIELDS, b"", "query"),
        ("/v1/embeddings", MANY, "Too many values"),
        ("/tokenize", MANY, "Too many values"),
    ],
)
async def test_more_fields_than_anybody_sends_are_refused_unread(
    site: Site, target: str, added: bytes, message: str
) -> None:
    before = len(site.worker.sent)
    status, told = await ask(site, LIMITED, target, with_fields(target.partition("?")[0], added))
    assert status == 400
    assert message in told["error"]["message"]
    assert len(site.worker.sent) == before


async def test_many_texts_are_no_conversation(site: Site) -> None:
    """The bound on the number of messages is for prompts: a batch to embed may have more texts."""
    body = json.dumps({"model": MODEL, "input": ["a text, and a"] * 9000}).encode()
    for key in (LIMITED, FREE):
        status, _ = await ask(site, key, "/v1/embeddings", body)
        assert status == 200


@pytest.mark.parametrize("path", JSON_PATHS)
async def test_what_it_may_use_it_gets(site: Site, path: str) -> None:
    for body in (
        with_fields(path, b""),
        with_fields(path, b"", "mine"),
        with_fields(path, b', "lora_path": null'),
        with_fields(path, b', "lora_path": "mine"'),
        with_fields(path, b', "tools": [{"model": "other"}], "metadata": {"model": "other", "lora_path": "other"}'),
        b" \r\n" + with_fields(path, b' , "x"\t:\n[1 , {"y" : "}"}]\n') + b"\n ",
    ):
        status, told = await ask(site, LIMITED, path, body)
        assert status == 200, told
        assert site.worker.sent[-1] == (path, body)


async def test_others_may_name_any_adapter(site: Site) -> None:
    body = with_fields(CHAT, b', "lora_path": "other", "model": "other"')
    assert (await ask(site, FREE, CHAT, body))[0] == 200


def part(name: str, value: bytes, *lines: str) -> bytes:
    """One part of a form; `name` is what follows `form-data`."""
    head = "".join(f"{line}\r\n" for line in (f"content-disposition: form-data{name}", *lines))
    return b"--b\r\n" + head.encode() + b"\r\n" + value + b"\r\n"


def form(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(parts) + end


AUDIO = part('; name="file"; filename="a.wav"', b"RIFF" + bytes(300), "content-type: audio/wav")
MINE, OTHER = part('; name="model"', b"m"), part('; name="model"', b"other")
FORMS = {
    "other": (form(AUDIO, OTHER), FORM),
    "two models": (form(AUDIO, MINE, OTHER), FORM),
    "two models, the other way round": (form(OTHER, AUDIO, MINE), FORM),
    "the same one twice": (form(MINE, AUDIO, MINE), FORM),
    "a large file between them": (form(MINE, part('; name="file"', bytes(300_000)), OTHER), FORM),
    "no model": (form(AUDIO), FORM),
    "an adapter": (form(AUDIO, MINE, part('; name="lora_path"', b"other")), FORM),
    "unquoted": (form(AUDIO, MINE, part("; name=model", b"other")), FORM),
    "single quotes": (form(MINE, part("; name='model'", b"other"), part("; name=model", b"other")), FORM),
    "escaped": (form(MINE, part('; name="mod\\el"', b"other")), FORM),
    "two names in one part": (form(MINE, part('; name="x"; name="model"', b"other")), FORM),
    "two dispositions": (
        form(MINE, part('; name="x"', b"other", 'content-disposition: form-data; name="model"')),
        FORM,
    ),
    "extended": (form(MINE, part("; name*=utf-8''model", b"other")), FORM),
    "a name in a file's name": (form(MINE, part('; filename="x\\"; name=\\"model"', b"other")), FORM),
    "folded": (form(MINE, part(';\r\n name="model"', b"other")), FORM),
    "no header": (form(MINE, b"--b\r\n\r\nother\r\n"), FORM),
    "text before": (b"x\r\n" + form(MINE), FORM),
    "a part before the first": (b'\r\n--a\r\n\r\n"other"\r\n' + form(MINE), FORM),
    "text after": (form(MINE) + b"\r\n" + OTHER, FORM),
    "no end": (form(MINE, OTHER, end=b""), FORM),
    "bare line feeds": (form(AUDIO, MINE).replace(b"\r\n", b"\n"), FORM),
    "a longer boundary": (form(MINE).replace(b"--b", b"--bb"), FORM),
    "two boundaries": (form(MINE), FORM + "; boundary=c"),
    "a charset": (form(MINE), "multipart/form-data; charset=utf-16; boundary=b"),
    "another kind": (form(MINE), "multipart/mixed; boundary=b"),
    "no boundary": (form(MINE), "multipart/form-data"),
    "as urlencoded": (b"model=m", "application/x-www-form-urlencoded"),
    "JSON that is urlencoded too": (b'{"model":"m","x":"&model=other&"}', "application/x-www-form-urlencoded"),
    "as JSON": (b'{"model":"m"}', "application/json"),
    "as JSON, says it is a form": (b'{"model":"m"}', FORM),
    "65 parts": (form(*[part(f'; name="{number}"', b"") for number in range(65)], MINE), FORM),
    "a long model": (form(AUDIO, part('; name="model"', b"m" + b" " * 300)), FORM),
    "a space after it": (form(AUDIO, part('; name="model"', b"m ")), FORM),
    "a line after it": (form(AUDIO, part('; name="model"', b"m\r\nother")), FORM),
    "a long head": (form(AUDIO, part('; name="model"', b"m", "x: " + "y" * 5000)), FORM),
}


@pytest.mark.parametrize(("body", "content_type"), FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("path", sorted(FORM_ENDPOINTS))
async def test_no_form_gets_another_model(site: Site, path: str, body: bytes, content_type: str) -> None:
    before = len(site.worker.sent)
    status, told = await ask(site, LIMITED, path, body, content_type)
    assert status in (400, 403), told
    assert len(site.worker.sent) == before


@pytest.mark.parametrize(
    "content_type", [FORM, 'Multipart/Form-Data;boundary="b"', "multipart/form-data ; boundary=b "]
)
@pytest.mark.parametrize(
    "body",
    [
        form(AUDIO, MINE),
        form(MINE, AUDIO, end=b"--b--"),
        form(part("; name=model", b"m", "Content-Type: text/plain; charset=utf-8"), AUDIO),
        form(AUDIO, MINE).replace(b"content-disposition", b"Content-Disposition"),
    ],
    ids=["httpx", "no last line", ".NET", "capitals"],
)
async def test_forms_of_decent_clients_are_read(site: Site, body: bytes, content_type: str) -> None:
    status, told = await ask(site, LIMITED, TRANSCRIPTIONS, body, content_type)
    assert status == 200, told
    assert site.worker.sent[-1] == (TRANSCRIPTIONS, body)


async def test_a_body_has_one_content_type(site: Site) -> None:
    """Of two, engines take the first or the last."""
    hidden = form(part('; name="model"', b"other")).replace(b"--b", b"--c")
    nested = form(part('; name="model"', b"m"), part('; name="prompt"', hidden))
    for types in ((FORM, "multipart/form-data; boundary=c"), ("multipart/form-data; boundary=c", FORM), (FORM, FORM)):
        status, told = await ask(site, LIMITED, TRANSCRIPTIONS, nested, *types)
        assert (status, told["error"]["code"]) == (400, "invalid_header")


async def test_a_path_that_is_not_read_is_for_clients_without_rights_and_limits(site: Site) -> None:
    for key in (LIMITED, PAYING, SALTED):
        status, told = await ask(site, key, EXTRA, b'{"model":"m","text":"x"}')
        assert (status, told["error"]["code"]) == (403, "path_not_allowed")
    assert (await ask(site, FREE, EXTRA, b'{"text":"x"}'))[0] == 200


@pytest.mark.parametrize("path", sorted(COMPUTED_ENDPOINTS))
async def test_what_a_model_computes_is_paid_for(site: Site, path: str) -> None:
    client = next(client for client in site.router.parts.clients.all if client.label == "paying")
    assert client.tokens is not None
    body, kind = (form(AUDIO, MINE), FORM) if path in FORM_ENDPOINTS else (with_fields(path, b""), "application/json")
    taken = client.taken[1]
    assert (await ask(site, PAYING, path, body, kind))[0] == 200
    await site.router.settles()
    assert client.taken[1] == taken + 7, "what the engine reports"
    client.tokens.take(2 * MANY_TOKENS)
    before = len(site.worker.sent)
    status, told = await ask(site, PAYING, path, body, kind)
    client.tokens.take(-2 * MANY_TOKENS)
    assert (status, told["error"]["code"]) == (429, "rate_limit_exceeded")
    assert len(site.worker.sent) == before


async def test_what_the_engine_does_not_report_is_paid_by_the_byte(site: Site) -> None:
    client = next(client for client in site.router.parts.clients.all if client.label == "paying")
    site.worker.routes["/v1/embeddings"] = as_json({})
    body = with_fields("/v1/embeddings", b', "x": "%s"' % (b"y" * 4000))
    taken = client.taken[1]
    assert (await ask(site, PAYING, "/v1/embeddings", body))[0] == 200
    await site.router.settles()
    assert client.taken[1] - taken == pytest.approx(len(body) / 4, abs=1)
    site.worker.routes["/v1/embeddings"] = Answer('{"error":{}}', 400)
    assert (await ask(site, PAYING, "/v1/embeddings", body))[0] == 400
    await site.router.settles()
    assert client.taken[1] - taken == pytest.approx(len(body) / 4, abs=1), "an error costs nothing"


async def test_text_alone_is_free(site: Site) -> None:
    client = next(client for client in site.router.parts.clients.all if client.label == "paying")
    taken = client.taken[1]
    for path in TEXT_ENDPOINTS:
        assert (await ask(site, PAYING, path, with_fields(path, b"")))[0] == 200
    assert client.taken[1] == taken


async def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 400


TRANSFERS = [
    b'"kv_transfer_params":{"remote_host":"10.0.0.9","remote_port":1}',
    b'"kv_transfer_params":{"prompt_token_ids":[1],"do_remote_prefill":true}',
    b'"kv_transfer_params":{"prompt_token_ids":[1]},"kv_transfer_params":{"remote_host":"10.0.0.9"}',
    b'"kv_transfer_\\u0070arams":{"remote_host":"10.0.0.9"}',
    b'"kv_transfer_params":[["remote_host","10.0.0.9"]]',
    b'"kv_transfer_params":' + b'{"a":' * 2000 + b"1" + b"}" * 2000,
    b'"ec_transfer_params":{"remote_host":"10.0.0.9"}',
    b'"vllm_xargs":{"kv_transfer_params":{"remote_host":"10.0.0.9"}}',
    b'"vllm_xargs":{"ec_transfer_params":"x"}',
    b'"bootstrap_host":"10.0.0.9"',
    b'"bootstrap_host":["10.0.0.9"],"bootstrap_port":[8998],"bootstrap_room":[1]',
    b'"bootstrap_port":1',
    b'"bootstrap_room":1',
]


@pytest.mark.parametrize("added", TRANSFERS, ids=range(len(TRANSFERS)))
@pytest.mark.parametrize("path", PROMPT_ROUTES)
async def test_no_client_makes_a_worker_connect_to_another_machine(site: Site, path: str, added: bytes) -> None:
    before = len(site.worker.sent)
    status, answer = await ask(site, FREE, path, with_fields(path, b", " + added))
    assert status == 400, answer
    assert len(site.worker.sent) == before


@pytest.mark.parametrize(
    "added",
    [
        b'"kv_transfer_params":null,"bootstrap_host":null,"vllm_xargs":{"a":1}',
        b'"kv_transfer_params":{"prompt_token_ids":[1,2]}',
    ],
)
async def test_ids_of_the_prompt_and_other_options_pass(site: Site, added: bytes) -> None:
    assert (await ask(site, FREE, CHAT, with_fields(CHAT, b", " + added)))[0] == 200
