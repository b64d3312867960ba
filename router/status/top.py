"""`warmroute top`: the status of a router that runs, in a terminal, once a second until Ctrl-C.

The key comes from a file, a variable or a prompt, never from an argument: arguments are visible to every user of the
machine.
"""

import argparse
import getpass
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import httpx
import msgspec

from router.dial.quoting import printable
from router.status.screen import screen

EVERY_S = 1.0
WAIT_S = 5.0
MOST_BYTES = 4 << 20
ALL = 1000
"""Characters and lines of an output that is no terminal."""
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""Another screen, without a cursor, and back."""
HOME, REST, BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
"""Go to the start of the screen; clear the rest of the line; clear what is below."""
VARIABLE = "WARMROUTE_ADMIN_API_KEY"


class NoStatusError(Exception):
    """The router cannot be asked. Its text is for the operator's terminal."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


def run(args: argparse.Namespace, environ: Mapping[str, str], out: TextIO = sys.stdout) -> int:
    """Show it. Returns 1 where the router cannot be asked."""
    try:
        with httpx.Client(timeout=WAIT_S, headers={"x-warmroute-admin-key": _key(args, environ)}) as client:
            if args.once or not out.isatty():
                out.write("\n".join(_drawn(ask(client, args.url), out)) + "\n")
            else:
                _watch(lambda: ask(client, args.url), out)
    except NoStatusError as error:
        print(f"warmroute: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def ask(client: httpx.Client, url: str) -> dict[str, Any]:
    """The router's status. Raises NoStatusError."""
    try:
        answer = client.get(f"{url.rstrip('/')}/admin/status")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NoStatusError(f"{url} does not answer: {error}") from None
    if answer.status_code != httpx.codes.OK:
        raise NoStatusError(f"{url} answers {answer.status_code}: {_message(answer.content)}")
    try:
        return msgspec.json.decode(answer.content[:MOST_BYTES], type=dict[str, Any])
    except msgspec.MsgspecError:
        raise NoStatusError(f"{url} is no Warmroute: its status cannot be read") from None


def _watch(look: Callable[[], dict[str, Any]], out: TextIO) -> None:
    """Until Ctrl-C. A router that stops to answer is waited for: it may be restarted."""
    shown = _drawn(look(), out)  # an error at the first look is shown on the usual screen
    out.write(ENTER)
    try:
        while True:
            out.write(HOME + "".join(f"{line}{REST}\r\n" for line in shown) + BELOW)
            out.flush()
            time.sleep(EVERY_S)
            try:
                shown = _drawn(look(), out)
            except NoStatusError as error:
                shown = [str(error)]
    finally:
        out.write(LEAVE)
        out.flush()


def _drawn(status: dict[str, Any], out: TextIO) -> list[str]:
    """The lines of the status: as many as fit a terminal, else all of them. Raises NoStatusError."""
    width, height = shutil.get_terminal_size()
    live = out.isatty()
    try:
        return screen(status, width if live else ALL, height - 1 if live else ALL, color=live).split("\n")
    except (AttributeError, KeyError, TypeError, ValueError):
        raise NoStatusError("the router is of another version: its status has other fields") from None


def _key(args: argparse.Namespace, environ: Mapping[str, str]) -> str:
    if args.admin_api_key_file:
        try:
            key = Path(args.admin_api_key_file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NoStatusError(f"--admin-api-key-file: {error}") from None
    else:
        key = environ.get(VARIABLE, "") or getpass.getpass("Admin key (none with open_status): ")
    if not (key.isascii() and key.isprintable()):
        raise NoStatusError("the admin key must be one line of visible ASCII characters")
    return key


def _message(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return "no reason given"
