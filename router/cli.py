"""The command `warmroute`: flags to settings, then `router.build.run.serve`.

Flags and help are made from the declared settings. Flags are taken as plain texts and checked by `settings.load`, like
every other source, so that an error reads the same wherever a value came from: one line that names the setting, no
traceback, exit code 2.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from itertools import groupby
from typing import NoReturn, TypeAlias

from router.clients import hash_command
from router.processes.supervisor import supervise
from router.settings import Settings, SettingsError, load
from router.settings.fields import declared
from router.settings.gone import GONE
from router.settings.setting import Setting, flag_of
from router.settings.sources import names, unknown

DESCRIPTION = (
    "Serve an OpenAI-compatible base_url in front of vLLM and SGLang workers, and send each prompt to the worker that "
    "already holds its prefix."
)
EPILOG = (
    "Every setting can also be given as the variable shown beside it, and in the TOML file by its name (max_body_bytes "
    '= "64MiB"). A flag wins over a variable, a variable over the file. A key can be given as a file: --api-key-file.'
)


def main(
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] = os.environ,
    start: Callable[[Settings], int] | None = None,
) -> int:
    """Run the command. Returns the exit code: 2 for settings that cannot be used. `start`, in place of what `serve`
    does, is for drills."""
    args, rest = parser_of_all().parse_known_args(argv)
    try:
        if args.command == "hash-key":
            return _hash_key(args, rest)
        if args.command == "check":
            return _check(args, rest, environ)
        if args.command == "top":
            return _top(args, rest, environ)
        return (start or _serve)(_settings(vars(args), rest, environ))
    except SettingsError as error:
        print(f"warmroute: error: {error}", file=sys.stderr)
        return 2


def _serve(settings: Settings) -> int:
    if settings.processes > 1:
        return supervise(settings)
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # it misses PyTorch, which is not needed here
    from router.build.run import serve  # noqa: PLC0415  (loads the whole router: not for --help and a misspelt flag)

    serve(settings)
    return 0


def _check(args: argparse.Namespace, rest: Sequence[str], environ: Mapping[str, str]) -> int:
    flags = vars(args)
    as_json = flags.pop("as_json", False)
    settings = _settings(flags, rest, environ)
    from router.check.command import run  # noqa: PLC0415  (loads the whole router)

    return run(settings, as_json)


def _top(args: argparse.Namespace, rest: Sequence[str], environ: Mapping[str, str]) -> int:
    if rest:
        raise SettingsError("top", "takes the router's URL, and no other arguments than its --help says")
    from router.status.top import run  # noqa: PLC0415  (loads what asks the router)

    return run(args, environ)


def _hash_key(args: argparse.Namespace, rest: Sequence[str]) -> int:
    if rest:
        raise SettingsError(
            "hash-key", "takes the key from standard input, and no other arguments than its --help says"
        )
    return hash_command.run(args, sys.stdin)


def _settings(flags: dict[str, object], rest: Sequence[str], environ: Mapping[str, str]) -> Settings:
    if rest:
        flag = rest[0].partition("=")[0]  # what follows may be a key
        raise SettingsError(flag, unknown(flag, [flag_of(name) for name in names()]))
    return load({name: value for name, value in flags.items() if name != "command"}, environ, _warn)


def _warn(warning: str) -> None:
    print(f"warmroute: warning: {warning}", file=sys.stderr)


class Parser(argparse.ArgumentParser):
    """What is wrong with one flag is said like every other error of a setting: in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        if message.startswith("argument -"):
            self.exit(2, f"warmroute: error: {message.removeprefix('argument ')}\n")
        super().error(message)


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def parser_of_all() -> argparse.ArgumentParser:
    """All commands, with their options: for shells that complete them too (docs/operations.md)."""
    parser = Parser(prog="warmroute", description="A router for LLM workers.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"warmroute {version('warmroute')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_check(commands)
    _add_top(commands)
    _add_hash_key(commands)
    return parser


def _add_serve(commands: Commands) -> None:
    serve = commands.add_parser(
        "serve",
        help="route requests",
        usage="warmroute serve --worker URL [--worker URL ...] [options]",
        description=DESCRIPTION,
        epilog=EPILOG,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    _add_settings(serve)


def _add_check(commands: Commands) -> None:
    check = commands.add_parser(
        "check",
        help="look at workers, tokenizers and Redis, and say what is amiss",
        usage="warmroute check --worker URL [--worker URL ...] [--json] [options of serve]",
        description="Look at all that a router with these settings needs. Each worker is asked for one token. "
        "Exit code 0: it works; 1: something does not; 2: the settings cannot be used.",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    check.add_argument("--json", dest="as_json", action="store_true", help="findings as JSON")
    _add_settings(check)


def _add_top(commands: Commands) -> None:
    top = commands.add_parser(
        "top",
        help="show what a router does, in this terminal",
        description="Show workers, KV memory, waiting requests and the last decisions of a running router, until "
        "Ctrl-C. See docs/status.md.",
        allow_abbrev=False,
    )
    top.add_argument("url", nargs="?", default="http://127.0.0.1:8080", help="the router [default %(default)s]")
    top.add_argument("--once", action="store_true", help="print it once, without colours, and end")
    top.add_argument(
        "--admin-api-key-file",
        metavar="FILE",
        help="file with the admin key. Unset: WARMROUTE_ADMIN_API_KEY; without that it is asked for.",
    )


def _add_hash_key(commands: Commands) -> None:
    hash_key = commands.add_parser(
        "hash-key",
        help="hash a client's key for the keys file",
        description="Read a key from standard input and print its entry for the keys file. See docs/clients.md.",
        allow_abbrev=False,
    )
    hash_command.add_arguments(hash_key)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="TOML file with settings. [WARMROUTE_CONFIG]")
    for title, settings in groupby(declared(), key=lambda setting: setting.group):
        group = parser.add_argument_group(title)
        for setting in settings:
            _add_setting(group, setting)
    for name in GONE:
        parser.add_argument(flag_of(name), dest=name, nargs="?", help=argparse.SUPPRESS)


def _add_setting(group: "argparse._ArgumentGroup", setting: Setting) -> None:
    kind, help = setting.kind, _explained(setting).replace("%", "%%")
    if not kind.metavar:
        group.add_argument(setting.flag, dest=setting.name, action=argparse.BooleanOptionalAction, help=help)
        return
    action = "append" if kind.many else "store"
    group.add_argument(setting.flag, dest=setting.name, metavar=kind.metavar, action=action, help=help)
    if setting.file_name:
        flag = flag_of(setting.file_name)
        group.add_argument(
            flag, dest=setting.file_name, metavar="FILE", help=f"The same from a file: {setting.file_help}."
        )


def _explained(setting: Setting) -> str:
    repeatable = " Repeatable." if setting.kind.many else ""
    default = f"default {setting.default_text}; " if setting.default_text else ""
    return f"{setting.help}{repeatable} [{default}{setting.variable}]"
