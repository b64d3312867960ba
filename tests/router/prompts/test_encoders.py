"""Which encoder reads which prompt, and tokenizers that come late or never."""

import asyncio
import logging
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from router.fleet.breaker import Breaker
from router.fleet.groups import ModelGroup
from router.fleet.workers import Fleet
from router.observe.instruments import Counter
from router.prompts.ask import TokenAsker
from router.prompts.encoders import (
    MAX_ENCODERS,
    MAX_NAMED,
    EncoderSet,
    EncoderSettings,
    TokenSource,
    worker_ids_encoder_of,
)
from router.prompts.encoding import Encoder
from tests.router.fake_worker import client
from tests.router.fleets import MODEL, facts, make_fleet
from tests.tokenizer_cache.small import CHATML, small_raw
from tokenizer_cache.bodies.request import parse
from tokenizer_cache.conversations.conversation import Room
from tokenizer_cache.encoder import PromptEncoder
from tokenizer_cache.rules import Served
from tokenizer_cache.templates.render import Renderer
from tokenizer_cache.text import TextEncoder
from tokenizer_cache.tokenizers.tokenizer import Tokenizer

CHAT = parse("chat", b'{"model":"m","messages":[{"role":"user","content":"hello"}]}')


def make(fleet: Fleet, source: TokenSource | Callable[[ModelGroup], TokenSource], off: bool = False) -> EncoderSet:
    asker = TokenAsker(client(), lambda: Breaker(time.monotonic), Counter("asks", "", ("outcome",)), off)
    settings = EncoderSettings(
        source_of=source if callable(source) else lambda group: source,
        asker=asker,
        secret=b"secret",
        room=Room(1 << 20),
        retry_s=0.01,
    )
    encoders = EncoderSet(fleet, settings)
    for changed in fleet.on_groups:
        changed()
    return encoders


async def loaded(encoders: EncoderSet) -> None:
    running = asyncio.create_task(encoders.run())
    async with asyncio.timeout(20):
        while encoders.loading:
            await asyncio.sleep(0.01)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def encoder(encoders: EncoderSet, fleet: Fleet) -> Encoder:
    group = fleet.group(MODEL)
    assert group is not None
    (found,) = encoders.of(group).values()
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    small_raw().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "chat_template.jinja").write_text(CHATML)
    return tmp_path / "tokenizer.json"


async def test_until_a_tokenizer_is_there_workers_tell(file: Path) -> None:
    fleet = make_fleet(1)
    encoders = make(fleet, TokenSource(str(file)))
    before = encoder(encoders, fleet)
    assert worker_ids_encoder_of(before) is before
    await loaded(encoders)
    after = encoder(encoders, fleet)
    assert isinstance(after, PromptEncoder)
    assert after.encode(CHAT).exact
    assert after.from_workers is not None


async def test_a_tokenizer_that_comes_late_is_found(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    fleet, late = make_fleet(1), file.with_name("late.json")
    encoders = make(fleet, TokenSource(str(late)))
    running = asyncio.create_task(encoders.run())
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(20):
            while not caplog.records:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            shutil.copy(file, late)
            while not isinstance(encoder(encoders, fleet), PromptEncoder):
                await asyncio.sleep(0.01)
    running.cancel()
    assert len(caplog.records) == 1, "a failure is told once"
    assert "no such file or folder on this machine" in caplog.text


async def test_a_worker_that_names_ever_new_models_holds_up_no_other_tokenizer(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """None of its models has a tokenizer that can be loaded. They are forgotten with it."""
    fleet = make_fleet(2)
    _, odd = fleet.workers.values()
    encoders = make(fleet, lambda group: TokenSource(str(file) if group.name == MODEL else f"/none/{group.name}"))
    for look in range(3):
        fleet.on_facts(odd.id, facts(*[f"look {look} number {number}" for number in range(1000)]))
        assert fleet.group(MODEL), "groups are made anew, which the encoders hear of"
    with caplog.at_level(logging.WARNING):
        await loaded(encoders)
    assert isinstance(encoder(encoders, fleet), PromptEncoder)
    assert len(caplog.records) == MAX_NAMED
    assert len(encoders._tokenizers) == MAX_NAMED + 1
    fleet.remove(odd.id)
    assert fleet.group(MODEL)
    running = asyncio.create_task(encoders.run())
    async with asyncio.timeout(20):
        while len(encoders._tokenizers) > 1:
            await asyncio.sleep(0.01)
    running.cancel()
    assert not encoders._failed


async def test_no_renderer_is_made_in_the_event_loop(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    makers: list[threading.Thread] = []

    class Watched(Renderer):
        def __init__(self, tokenizer: Tokenizer) -> None:
            makers.append(threading.current_thread())
            super().__init__(tokenizer)

    monkeypatch.setattr("tokenizer_cache.templates.render.Renderer", Watched)
    fleet = make_fleet(1)
    encoders = make(fleet, TokenSource(str(file)))
    await loaded(encoders)
    made = len(makers)
    assert isinstance(encoder(encoders, fleet), PromptEncoder)
    assert made and len(makers) == made
    (worker,) = fleet.workers
    for _ in range(2):  # the same again makes nothing anew
        fleet.on_facts(worker, replace(facts(), served=Served(default_kwargs={"mood": "calm"})))
        assert fleet.group(MODEL), "groups are made anew, which the encoders hear of"
        await loaded(encoders)
    assert isinstance(encoder(encoders, fleet), PromptEncoder)
    assert len(makers) == made + 1
    assert threading.main_thread() not in makers


async def test_without_a_tokenizer_by_choice_prompts_are_text() -> None:
    fleet = make_fleet(1)
    assert isinstance(encoder(make(fleet, TokenSource("")), fleet), TextEncoder)


async def test_what_the_operator_says_reaches_the_prompt(file: Path) -> None:
    template = file.with_name("t.jinja")
    template.write_text("{{ messages[0].content }}{{ mood }}")
    fleet = make_fleet(1)
    encoders = make(fleet, TokenSource(str(file), str(template), '{"mood": "calm"}'))
    await loaded(encoders)
    prompt = encoder(encoders, fleet).encode(CHAT)
    assert (prompt.exact, prompt.tokens) == (True, len(small_raw().encode("hellocalm").ids))


async def test_a_template_that_only_the_server_has_is_not_guessed(file: Path) -> None:
    fleet = make_fleet(1)
    (worker,) = fleet.workers.values()
    served = Served(engine="sglang", own_template=True)
    fleet.on_facts(worker.id, replace(facts(), engine="sglang", served=served))
    encoders = make(fleet, TokenSource(str(file)), off=True)
    await loaded(encoders)
    exact = encoder(encoders, fleet)
    assert isinstance(exact, PromptEncoder)
    assert exact.encode(CHAT).source == "text"
    assert exact.counters.inexact == {"chat_template": 1}


def test_encoders_of_formats_that_are_gone_do_not_pile_up() -> None:
    fleet = make_fleet(2)
    encoders = make(fleet, TokenSource(""))
    steady, odd = fleet.workers.values()
    (kept,) = encoders.of(fleet.groups[MODEL]).values()
    for number in range(3 * MAX_ENCODERS):
        fleet.on_facts(odd.id, facts(block_tokens=65 + number, generation=""))
        assert encoders.of(fleet.groups[MODEL])[steady.format] is kept
        assert len(encoders._encoders) <= MAX_ENCODERS
