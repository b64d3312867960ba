"""`warmroute-lab replay`: send recorded traffic to a live base_url, in real time, and say what became of it."""

import argparse
import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
import uvloop

from loadtests.laboratory.replay import report
from loadtests.laboratory.replay.client import Client, Question
from loadtests.laboratory.replay.conversations import Ask, Conversation, endless
from loadtests.laboratory.replay.engines import Sight, look
from loadtests.laboratory.replay.options import Options
from loadtests.laboratory.replay.player import Player, Send, body_of
from loadtests.laboratory.replay.progress import Progress
from loadtests.laboratory.replay.record import Record
from loadtests.laboratory.replay.summary import summary

LOOK_S = 0.5


def run(args: argparse.Namespace) -> int:
    """Replay, print Markdown. Raises ValueError or OSError, in words for the user, for what cannot be used."""
    options = Options.of(args)
    conversations = options.conversations()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        records, engines = runner.run(play(options, conversations))
    counted = [r for r in records if r.turn >= options.skip_turns and r.asked_s >= options.warmup_s]
    if not counted:
        raise ValueError(f"{len(records)} requests were sent, none after the warm-up and the first turns")
    found = summary(counted, options.slo)
    print(report.markdown(options.title(len(records) - len(counted)), found, options.slo, engines))
    if options.json:
        _write(options.json, json.dumps(report.as_json(found, options.slo, engines), indent=1))
    if options.records:
        _write(options.records, "\n".join(json.dumps(report.row(record)) for record in records))
    return 0


async def play(options: Options, conversations: list[Conversation]) -> tuple[list[Record], Mapping[str, Sight]]:
    """Every record, and what the engines counted meanwhile."""
    began = time.perf_counter()
    records: list[Record] = []
    progress = Progress(options.quiet)

    def clock() -> float:
        return time.perf_counter() - began

    def saw(record: Record) -> None:
        records.append(record)
        progress.saw(record)

    async with Client(options.timeout_s, clock) as client:
        model = options.model or await client.first_model(options.base_url, options.headers(conversations[0]))
        before = await look(options.engines)
        began = time.perf_counter()
        player = Player(options.pace, _sender(options, client, model), saw)
        telling = asyncio.create_task(_tell(progress, clock, player))
        try:
            await player.play(_order(options, conversations), options.duration_s)
        finally:
            telling.cancel()
        after = await look(options.engines)
    return records, {url: sight.since(before[url]) for url, sight in after.items()}


def _sender(options: Options, client: Client, model: str) -> Send:
    url = f"{options.base_url}/chat/completions"

    async def send(conversation: Conversation, turn: int, ask: Ask) -> Record:
        body = msgspec.json.encode(body_of(ask, model, options.max_answer_tokens, options.more))
        return await client.ask(Question(conversation.name, turn, url, body, options.headers(conversation)))

    return send


def _order(options: Options, conversations: list[Conversation]) -> Iterator[Conversation]:
    """For recorded arrivals as recorded, once; else in random order, over and over if there is an end in time."""
    if options.pace.loop == "recorded":
        return iter(conversations)
    found = endless(conversations, random.Random(options.pace.seed))
    return found if options.duration_s is not None else (next(found) for _ in conversations)


async def _tell(progress: Progress, clock: Callable[[], float], player: Player) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        progress.tell(clock(), player.running)


def _write(path: Path, text: str) -> None:
    path.write_text(text + "\n", encoding="utf-8")
