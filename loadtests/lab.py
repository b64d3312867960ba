"""The command `warmroute-lab`: engines without GPUs, and policies compared on recorded traffic.

A command of its own, so that the router never imports what only the laboratory needs.
"""

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from loadtests.engine import __main__ as engine
from loadtests.laboratory.claims import command as claims
from loadtests.laboratory.pressure import command as pressure
from loadtests.laboratory.replay import command as replay
from loadtests.laboratory.replay import options as replay_options
from loadtests.laboratory.simulate import command as simulate
from loadtests.laboratory.simulate import routers, sweep


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code: 2 for what cannot be used."""
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["engine"]:
        engine.main(given[1:])
        return 0
    args = _parser()[0].parse_args(given)
    try:
        with _without_news_of_workers():
            return int(args.run(args))
    except (ValueError, OSError) as error:
        print(f"warmroute-lab: error: {error}", file=sys.stderr)
        return 2


@contextmanager
def _without_news_of_workers() -> Iterator[None]:
    """Hide what simulated routers log about their workers, which is part of the experiment; errors are still logged."""
    log = logging.getLogger("warmroute")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def parser_of(command: str) -> argparse.ArgumentParser:
    """The options of one command. Raises KeyError for an unknown one."""
    _, commands = _parser()
    return commands[command]


def _parser() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser("warmroute-lab", description="Warmroute's laboratory.", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("engine", help="serve one emulated engine over HTTP", parents=[engine.parser()], add_help=False)
    replayed = commands.add_parser(
        "simulate", help="replay recorded traffic under a virtual clock", description=simulate.__doc__
    )
    simulate.add_to(replayed)
    replayed.set_defaults(run=simulate.run)
    live = commands.add_parser("replay", help="send recorded traffic to a live server", description=replay.__doc__)
    replay_options.add_to(live)
    live.set_defaults(run=replay.run)
    swept = commands.add_parser("policies", help="sweep memory, load and traps", description=sweep.__doc__)
    sweep.add_to(swept)
    swept.set_defaults(run=sweep.run)
    several = commands.add_parser("routers", help="several routers against one", description=routers.__doc__)
    routers.add_to(several)
    several.set_defaults(run=routers.run)
    pressed = commands.add_parser("pressure", help="sessions short of memory", description=pressure.__doc__)
    pressure.add_to(pressed)
    pressed.set_defaults(run=pressure.run)
    claimed = commands.add_parser("claims", help="published results beside ours", description=claims.__doc__)
    claims.add_to(claimed)
    claimed.set_defaults(run=claims.run)
    return parser, commands.choices
