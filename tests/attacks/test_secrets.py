"""Prompt text, keys and answers, in every form that a request may have: none is in a log, a metric, a trace or Redis.

The worker here repeats the whole request in its errors and in its answers, as engines do.
"""

import base64
import io
import json
import logging
from typing import Any

import httpx
import pytest

from router.settings import Secret
from tests.router.build.test_make_sharing import everything
from tests.router.fake_worker import Answer, FakeWorker, as_json, models, vllm
from tests.router.observe.test_tracing import collecting
from tests.routers import MODEL, running_router
from tests.servers import RedisServer

MARKER = "Zebrafinch"
"""A word of the prompt."""
ECHO = f"the prompt said {MARKER}"
KEY, ADMIN, WORKER_KEY, INDEX_SECRET = "client-Kestrel", "admin-Kestrel", "worker-Kestrel", "index-Kestrel"
SECRETS = (MARKER, "Kestrel")


def bodies() -> dict[str, list[bytes]]:
    """Good, broken and refused bodies of each API, each with the marker in it."""
    text = f"{MARKER} " * 200
    message = [{"role": "user", "content": text}]
    good: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"messages": message},
        "/v1/completions": {"prompt": text},
        "/v1/responses": {"input": text},
        "/v1/messages": {"messages": message, "max_tokens": 5},
        "/v1/embeddings": {"input": text},
        "/tokenize": {"prompt": text},
        "/v1/nowhere": {"prompt": text},
    }
    found = {}
    for path, fields in good.items():
        whole = json.dumps({"model": MODEL, **fields}).encode()
        found[path] = [
            whole,
            json.dumps({"model": MODEL, "stream": True, **fields}).encode(),
            json.dumps({"model": MARKER, **fields}).encode(),
            json.dumps({"model": [MARKER], **fields}).encode(),
            whole[:-1],
            whole + text.encode(),
            json.dumps({"model": MODEL, **{name: {MARKER: MARKER} for name in fields}}).encode(),
            MARKER.encode() * 100,
            b"\xff" + whole,
        ]
    return found


async def send_all(url: str) -> None:
    """Every body, with and without the key; what is answered is the client's own affair."""
    headers = [{"authorization": f"Bearer {KEY}"}, {"authorization": f"Bearer wrong-{KEY}"}, {"x-api-key": KEY}]
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        for path, each in bodies().items():
            for body in each:
                for more in headers:
                    await client.post(path, content=body, headers={"content-type": "application/json", **more})
        for more in ({"authorization": f"Bearer {ADMIN}"}, {"authorization": f"Bearer no-{ADMIN}"}):
            await client.post("/admin/explain", content=bodies()["/v1/chat/completions"][0], headers=more)
            await client.get("/admin/workers", headers=more)


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_no_text_and_no_key_leaves_the_router(status: int, caplog: pytest.LogCaptureFixture) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0}}
    answer = as_json({"id": f"resp_{MARKER}", "error": {"message": ECHO}, "text": ECHO, "usage": usage})
    worker = FakeWorker({**vllm(), "/v1/models": models(MODEL)})
    worker.routes |= dict.fromkeys(bodies(), Answer(answer.body, status=status) if status != 200 else answer)
    log = io.BytesIO()
    caplog.set_level(logging.DEBUG)
    with RedisServer() as server, collecting() as collector:
        settings: dict[str, Any] = {
            "redis": server.url,
            "index_secret": Secret(INDEX_SECRET),
            "api_keys": (Secret(KEY),),
            "admin_api_key": Secret(ADMIN),
            "worker_api_key": Secret(WORKER_KEY),
            "otlp_endpoint": collector.url,
            "trace_sample": 1.0,
        }
        async with worker, running_router(worker.url, access_stream=log, **settings) as router:
            await send_all(router.url)
            await router.settles()
            page = (await router.client.get("/metrics")).text
            stored = everything(server)
            router.parts.access_log.flush()
        outlets = {
            "log": "\n".join(record.getMessage() + str(record.exc_info or "") for record in caplog.records),
            "access log": log.getvalue().decode("latin-1"),
            "metrics": page,
            "redis": b"".join(key + (value or b"") for key, value in stored.items()).decode("latin-1"),
            "traces": collector.bytes.decode("latin-1"),
        }
    assert all(outlets.values()), "each outlet was used"
    for name, text in outlets.items():
        for secret in SECRETS:
            for form in (secret, secret.lower(), base64.b64encode(secret.encode()).decode()[:8], secret.encode().hex()):
                assert form not in text, f"{form} in {name}"
