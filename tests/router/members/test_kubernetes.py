"""List and watch against an API server of our own, over real HTTP."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from router.dial.allow import Implied
from router.dial.service_name import read_service
from router.members.kubernetes import KubernetesApi, KubernetesSource
from tests.router.members.api_server import ApiServer, endpoint, slice_of
from tests.router.members.findings import Heard, listening

A, B, C = "http://10.0.0.1:8000", "http://10.0.0.2:8000", "http://10.0.0.3:8000"


def credentials(folder: Path, token: str = "t1") -> Path:
    (folder / "token").write_text(token + "\n")
    (folder / "namespace").write_text("llm")
    return folder


@asynccontextmanager
async def watched(folder: Path, api: ApiServer, service: str = "llm/vllm:http") -> AsyncIterator[Heard]:
    async with api.serving():
        source = KubernetesSource(
            read_service(service), KubernetesApi(api.url, credentials(folder, api.token)), random.Random(1), 0.01
        )
        with listening(source) as heard:
            yield heard


async def test_slices_are_listed_in_pages_then_watched(tmp_path: Path) -> None:
    api = ApiServer()
    api.page_size = 1
    await api.put(slice_of("s1", endpoint("10.0.0.1")))
    await api.put(slice_of("s2", endpoint("10.0.0.2")))
    async with watched(tmp_path, api, "vllm:http") as heard:
        await heard.until(lambda: len(heard.sets) == 1)
        await api.put(slice_of("s2", endpoint("10.0.0.2", terminating=True, ready=False), endpoint("10.0.0.3")))
        await heard.until(lambda: len(heard.sets) == 2)
        await api.bookmark()
        await api.delete("s1")
        await heard.until(lambda: len(heard.sets) == 3)
    drained = [{url: spec.draining for url, spec in one.items()} for one in heard.sets]
    assert drained == [{A: False, B: False}, {A: False, B: True, C: False}, {B: True, C: False}]
    assert heard.failures == []


async def test_a_watch_that_breaks_is_followed_by_a_list(tmp_path: Path) -> None:
    api = ApiServer()
    await api.put(slice_of("s1", endpoint("10.0.0.1")))
    async with watched(tmp_path, api) as heard:
        await heard.until(lambda: heard.looks > 0)
        api.hang_up()
        await heard.until(lambda: len(heard.sets) == 2)
        assert heard.failures == ["no answer (RemoteProtocolError)"]
        await heard.until(lambda: bool(api.watchers))
        await api.say(b"nonsense\n")
        await heard.until(lambda: len(heard.sets) == 3)
        assert "cannot be read" in heard.failures[1]


async def test_a_version_that_is_gone_leads_to_a_list_and_is_no_failure(tmp_path: Path) -> None:
    api = ApiServer()
    await api.put(slice_of("s1", endpoint("10.0.0.1")))
    async with watched(tmp_path, api) as heard:
        await heard.until(lambda: bool(api.watchers))
        api.oldest = api.version + 1
        await api.put(slice_of("s1", endpoint("10.0.0.2")))
        await heard.until(lambda: set(heard.sets[-1]) == {B})
    assert heard.failures == []
    assert api.times("limit=") == 2


async def test_a_watch_that_the_api_ends_is_taken_up_where_it_stopped(tmp_path: Path) -> None:
    api = ApiServer()
    await api.put(slice_of("s1", endpoint("10.0.0.1")))
    async with watched(tmp_path, api) as heard:
        await heard.until(lambda: bool(api.watchers))
        await api.bookmark()
        version = api.version
        await heard.until(lambda: heard.looks >= 2)
        await api.say(b"")  # the end of the chunked body
        await heard.until(lambda: heard.looks >= 3)
    assert api.times("limit=") == 1
    assert f"resourceVersion={version}" in api.targets[-1]


async def test_a_new_token_is_read_from_disk(tmp_path: Path) -> None:
    api = ApiServer()
    await api.put(slice_of("s1", endpoint("10.0.0.1")))
    async with watched(tmp_path, api) as heard:
        await heard.until(lambda: bool(api.watchers))
        api.token = "t2"
        api.hang_up()
        await heard.until(lambda: any("401" in reason for reason in heard.failures))
        credentials(tmp_path, "t2")
        await heard.until(lambda: len(heard.sets) == 2)


def test_a_proxy_over_plain_http_needs_no_token(tmp_path: Path) -> None:
    assert "authorization" not in KubernetesApi("http://127.0.0.1:8001", tmp_path).headers()
    with pytest.raises(FileNotFoundError):
        KubernetesApi("https://kubernetes.default.svc", tmp_path).headers()
    (tmp_path / "token").write_text("t")
    assert KubernetesApi("http://127.0.0.1:8001", tmp_path).headers()["authorization"] == "Bearer t"


@pytest.mark.parametrize("status", [403, 404, 429, 500])
async def test_an_api_that_refuses_is_asked_again_and_names_nobody_away(tmp_path: Path, status: int) -> None:
    api = ApiServer()
    await api.put(slice_of("s1", endpoint("10.0.0.1")))
    async with watched(tmp_path, api) as heard:
        await heard.until(lambda: bool(api.watchers))
        api.status = status
        api.hang_up()
        await heard.until(lambda: any(str(status) in reason for reason in heard.failures))
        assert len(heard.sets) == 1
        api.status = 200
        await heard.until(lambda: len(heard.sets) == 2)
    if status == 403:
        assert any("list and watch on endpointslices in namespace llm" in reason for reason in heard.failures)


async def test_pauses_grow_while_the_api_is_away(tmp_path: Path) -> None:
    source = KubernetesSource(
        read_service("llm/vllm"), KubernetesApi("http://127.0.0.1:1", credentials(tmp_path)), random.Random(1), 0.01
    )
    with listening(source) as heard:
        await heard.until(lambda: len(heard.failures) == 3)
        async with asyncio.timeout(0.5):
            await asyncio.sleep(0.2)
        assert len(heard.failures) < 10
    assert source.implied == Implied("http", 0)
