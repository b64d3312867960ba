"""Every spelling of a path that a client may try, on a real router: what reaches the worker, and what does not.

Each request bears a number in its query, by which the recording worker's requests are told from the router's probes.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from router.settings import Secret
from router.wire.routes import COMPUTED_ENDPOINTS, PROMPT_ROUTES, TEXT_ENDPOINTS, canonical
from tests.router.fake_worker import Answer, FakeWorker, as_json, models, vllm
from tests.router.http.raw import wire
from tests.router.http.site import GOOD
from tests.routers import MODEL, RunningRouter, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/chat/completions"
ADDED = "/v1/other"
KEY = "client-key"
INFERENCE = sorted({*PROMPT_ROUTES, *COMPUTED_ENDPOINTS, *TEXT_ENDPOINTS})


class Case(NamedTuple):
    """A request line's method and target, and what the worker gets of it: "" for nothing."""

    method: str
    target: str
    forwarded: str
    status: int


def served(method: str, target: str, forwarded: str) -> Case:
    return Case(method, target, forwarded, 200)


def hidden(target: str, method: str = "POST", status: int = 404) -> Case:
    return Case(method, target, "", status)


SPELLINGS = [
    "{}",
    "{}/",
    "{}//",
    "/{}",
    "//{}",
    "/%2f{}",
    "{}%2F",
    "http://elsewhere.example{}",
    "http://elsewhere.example/{}/",
    "http://u:p@elsewhere.example:1{}",
]
"""Of a path that is served: all of them are the same path."""

ODD = [
    "/v1//chat//completions",
    "/v1/%63hat/completions",
    "/v1/chat%2fcompletions",
    "/%2Fv1%2Fchat%2Fcompletions",
    "/%76%31/%63%68%61%74/%63%6f%6d%70%6c%65%74%69%6f%6e%73",
    "/v1/chat/completions%2f%2F/",
]
"""Of /v1/chat/completions."""

NOT_PLAIN = [
    "/v1/./chat/completions",
    "/v1/../v1/chat/completions",
    "/v1/%2e%2e/v1/chat/completions",
    "/v1/%2E/chat/completions",
    "/v1/chat/completions/..",
    "/v1/chat/completions/%2e",
    "/v1/chat/completions/%2e%2e/%2e%2e/%2e%2e/flush_cache",
    "/v1/chat/completions/..%2f..%2f..%2fflush_cache",
    "/v1/chat/completions;a=b",
    "/v1;x/chat/completions",
    "/v1/chat/completions%3ba",
    "/v1/chat/completions%00",
    "/v1/chat/completions%00/x",
    "/v1/chat/completions%0d%0ax-a:b",
    "/v1/chat/completions%20",
    "/v1/chat/completions+",
    "/v1/chat/completions%09",
    "/v1/chat/completions%3f",
    "/v1/chat/completions%23",
    "/v1/chat/completions.",
    "/v1/chat/completions.json",
    "/v1/chat/completions%252f",
    "/v1/%2563hat/completions",
    "/v1/chat%255c/completions",
    "/v1\\chat\\completions",
    "/v1/chat%5ccompletions",
    "/V1/chat/completions",
    "/v1/Chat/Completions",
    "/v1/CHAT/COMPLETIONS",
    "/v1/chat/comple%74ion%73%c3%a9",
    "/v1/chat/completions%ff",
    "/v1/ch%e2%80%8bat/completions",
    "/v1/chat/complet%C4%B1ons",
    "/v1/chat/completions/x",
    "/v1/chat/completions%zz",
    "/v1/chat/completions%",
    "/chat/completions",
    "/v1/v1/chat/completions",
    "/",
    "//",
    "/v1",
    "/v1/",
]
"""Of nothing that is served."""

CONTROL = re.findall(
    r"\S+",
    """
abort_request abort_requests add_external_corpus begin_weight_update checkpoint clear_hicache_storage_backend
close_session collective_rpc configure_logging continue_generation destroy_weights_update_group docs dumper/x
emulator/restart encode flush_cache freeze_gc generate get_load get_model_info get_server_info
get_weights_by_name health_generate hicache/storage-backend inference/v1/generate init_weight_transfer_engine
init_weights_update_group invocations is_paused is_scaling_elastic_ep is_sleeping kv_event_sources load
load_lora_adapter load_lora_adapter_from_tensors model_info openapi.json pause pause_generation ping redoc
release_memory_occupation remote_instance_transfer_engine_info reset_mm_cache reset_prefix_cache resume
resume_memory_occupation scale_elastic_ep server_info set_internal_state set_trace_level sleep slow_down
start_expert_distribution_record start_profile start_weight_update stop_profile tokenizer_info
unload_lora_adapter update_weight_version update_weights update_weights_from_disk update_weights_from_ipc
update_weights_from_tensor v1/chat/completions/batch v1/chat/completions/render v1/completions/derender
v1/load_lora_adapter v1/loads v1/messages/render v1/responses/render v1/unload_lora_adapter version
vertex_generate wake_up weights_checker v1/files v1/batches v1/decisions v1/systemone generative_scoring
api/chat api/generate api/tags cohere/v2/chat v1/messages/batches what_the_next_version_brings
""",
)

DISGUISES = ["/{}", "/{}/", "//{}", "/%{first:x}{rest}", "/v1/%2e%2e/{}", "/v1/chat/completions/../../../{}", "/{};a"]


def disguised(name: str) -> list[str]:
    return [way.format(name, first=ord(name[0]), rest=name[1:]) for way in DISGUISES]


STORED = [
    served("GET", "/v1/responses/resp_1", "/v1/responses/resp_1"),
    served("GET", "/v1/responses/resp_1/", "/v1/responses/resp_1"),
    served("DELETE", "/v1//responses/resp%5f1", "/v1/responses/resp_1"),
    served("POST", "/v1/responses/resp_1/cancel", "/v1/responses/resp_1/cancel"),
    served("GET", "/v1/responses/resp_1/input_items", "/v1/responses/resp_1/input_items"),
    served("GET", "/v1/responses/resp_1%2finput_items", "/v1/responses/resp_1/input_items"),
    hidden("/v1/responses/resp_1", "POST", 405),
    hidden("/v1/responses/resp_1", "PUT", 405),
    hidden("/v1/responses/resp_1/cancel", "GET", 405),
    hidden("/v1/responses/resp_1/input_items", "DELETE", 405),
    hidden("/v1/responses/resp_1/render", "POST"),
    hidden("/v1/responses/resp_1/cancel/x", "POST"),
    *(hidden(f"/v1/responses/{name}", "GET") for name in ("..", "%2e%2e", ".", "a%20b", "%00", "%ff", "a;b", "a%252f")),
    *(hidden(f"/v1/responses/{name}/cancel") for name in ("..", "%2e%2e", "..%2f..%2fflush_cache%3f", "a%0d%0ab")),
]
OWN = [
    *(hidden(path, "GET") for page in ("health", "ready", "metrics") for path in disguised(page)[1:]),
    *(hidden(path, "GET") for path in ("/metrics%2f", "/metrics/x", "/metric%73", "/METRICS", "/admin;/x")),
    *(hidden(path, "GET") for path in ("/%61dmin/workers", "//admin/workers", "/v1/../admin/workers", "/adm%69n")),
    *(hidden(f"/admin/{page}", "GET") for page in ("docs", "docs/oauth2-redirect", "openapi.json", "redoc", "x", "")),
    *(hidden(path, status=405) for path in ("/v1/models", "/v1/models/", "//v1/models", "/v1/models/m")),
]
METHODS = [
    *(
        hidden(path, method, 405)
        for path in (CHAT, "/tokenize")
        for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH")
    ),
    *(hidden(path, method, 405) for path in (ADDED,) for method in ("DELETE", "PUT", "PATCH")),
    *(served("OPTIONS", path, path) for path in (CHAT, "/v1/embeddings", ADDED)),
    hidden("/flush_cache", "OPTIONS"),
    served("GET", ADDED, ADDED),
    *(served("POST", way.format(ADDED), ADDED) for way in SPELLINGS),
    hidden(ADDED + "/more"),
    hidden(ADDED + "/%2e%2e/flush_cache"),
]
CASES = [
    *(served("POST", way.format(path), path) for path in INFERENCE for way in SPELLINGS),
    *(served("POST", target, CHAT) for target in ODD),
    *(hidden(target) for target in NOT_PLAIN),
    *(hidden(target) for name in CONTROL for target in disguised(name)),
    *(hidden("/" + name, "GET") for name in CONTROL),
    *STORED,
    *OWN,
    *METHODS,
]


class Recorded(NamedTuple):
    """A router, and its only worker, which answers every path that there is."""

    router: RunningRouter
    worker: FakeWorker


class Everything(FakeWorker):
    """It serves all paths."""

    async def _answer(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await super()._answer(answer if answer.status != 404 else as_json({}), reader, writer)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorded() -> AsyncIterator[Recorded]:
    worker = Everything({**vllm(), "/v1/models": models(MODEL)})
    async with worker, running_router(worker.url, api_keys=(Secret(KEY),), extra_paths=(ADDED,)) as router:
        yield Recorded(router, worker)


async def ask(router: RunningRouter, method: str, target: str, body: object) -> tuple[int, bytes]:
    data = json.dumps(body).encode()
    lines = (
        f"{method} {target} HTTP/1.1",
        "host: x",
        f"authorization: Bearer {KEY}",
        "content-type: application/json",
        f"content-length: {len(data)}",
        "connection: close",
    )
    async with wire(router.port) as client:
        await client.send("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        answer = await client.rest()
    head, _, text = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), text


@pytest.mark.parametrize("case", CASES, ids=[f"{case.method} {case.target}" for case in CASES])
async def test_what_reaches_the_worker(recorded: Recorded, case: Case) -> None:
    router, worker = recorded
    number = f"case={CASES.index(case)}&x=%2e%2e%2F"
    body = GOOD.get(case.forwarded, {"model": MODEL})
    status, text = await ask(router, case.method, f"{case.target}?{number}", body)
    reached = [target for target in worker.asked if target.endswith(f"?{number}")]
    assert reached == ([f"{case.forwarded}?{number}"] if case.forwarded else [])
    assert status == case.status, text
    if not case.forwarded and case.method != "HEAD":
        error = json.loads(text)["error"]
        assert error["message"]
        assert error["type"] in ("not_found_error", "invalid_request_error")


async def test_there_are_many_spellings() -> None:
    assert len(set(CASES)) == len(CASES) >= 1000


@pytest.mark.parametrize("path", ["/flush_cache", "/health/", "/docs", "/v1/embeddings"])
async def test_without_a_key_a_path_tells_nothing(recorded: Recorded, path: str) -> None:
    async with wire(recorded.router.port) as client:
        await client.send(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n".encode())
        status, _ = await client.answer()
    assert status == 401
    assert not recorded.router.parts.body_budget.used_bytes


async def test_a_hidden_path_is_answered_before_its_body(recorded: Recorded) -> None:
    async with wire(recorded.router.port) as client:
        head = f"POST /flush_cache HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 1000\r\n\r\n"
        await client.send(head.encode())
        status, text = await client.answer()
    assert (status, json.loads(text)["error"]["code"]) == (404, "path_not_found")


async def test_errors_have_the_style_of_the_api(recorded: Recorded) -> None:
    for path in ("/v1/messages/batches", "/v1//messages/batches"):
        _, text = await ask(recorded.router, "POST", path, {})
        assert json.loads(text)["type"] == "error"
    _, text = await ask(recorded.router, "DELETE", "/v1/messages", {})
    assert json.loads(text)["type"] == "error"


async def test_models_are_listed_and_told_one_by_one(recorded: Recorded) -> None:
    client = recorded.router.client
    headers = {"authorization": f"Bearer {KEY}"}
    for path in ("/v1/models", "/v1/models/", "//v1/models", "/v1//models/"):
        status, text = await ask(recorded.router, "GET", path, {})
        assert (status, [card["id"] for card in json.loads(text)["data"]]) == (200, [MODEL]), path
    told = await client.get(f"/v1/models/{MODEL}", headers=headers)
    assert (told.status_code, told.json()["id"]) == (200, MODEL)
    for path in ("/v1/models/other", "/v1/models/m/", "/v1/models/%2e%2e/x", f"/v1/models/{MODEL.upper()}"):
        missing = await client.get(path, headers=headers)
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found"), path
    assert (await client.get(f"/v1/models/{MODEL}")).status_code == 401


async def test_what_is_compared_is_a_fixed_point() -> None:
    for path in INFERENCE:
        assert canonical(path.encode()) == path
    for case in CASES:
        path = canonical(case.target.encode())
        assert canonical(path.encode()) == path
