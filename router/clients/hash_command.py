"""`warmroute hash-key`: reads a key and prints a table for the keys file.

The key is read from standard input, never from an argument: arguments are visible to every user of the machine.
"""

import argparse
import getpass
import sys
from pathlib import Path
from typing import TextIO

from router.clients.key_hash import MIN_KEY_CHARACTERS, key_digest, new_key, new_salt
from router.clients.keys_file import KeysFileError, read_keys_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--keys-file", metavar="FILE", help="use the salt of this file; without it a new salt is made")
    parser.add_argument("--new", action="store_true", help="make a key and print it, instead of reading one")
    parser.add_argument("--label", default="team", help="the label to write above the hash [default team]")


def run(args: argparse.Namespace, source: TextIO) -> int:
    """Print the table. Returns the exit code: 2 for a key or a file that cannot be used."""
    try:
        salt = read_keys_file(Path(args.keys_file)).salt if args.keys_file else ""
    except KeysFileError as error:
        return _complain(f"--keys-file: {args.keys_file} {error}")
    key = new_key() if args.new else _read(source)
    if not (key.isascii() and key.isprintable()) or " " in key:
        return _complain("the key must be of visible ASCII characters without spaces")
    if len(key) < MIN_KEY_CHARACTERS:
        return _complain(f"the key must be random and have at least {MIN_KEY_CHARACTERS} characters: try --new")
    lines = [f'[[key]]\nlabel = "{args.label}"']
    if not salt:
        salt = new_salt()
        lines.insert(0, f'salt = "{salt}"\n')
    lines.append(f'hash = "{key_digest(bytes.fromhex(salt), key.encode()).hex()}"')
    if args.new:
        lines.append(f"# the key, which is stored nowhere else: {key}")
    print("\n".join(lines))
    return 0


def _read(source: TextIO) -> str:
    if source.isatty():
        return getpass.getpass("key: ")
    return source.readline().strip()


def _complain(problem: str) -> int:
    print(f"warmroute: error: {problem}", file=sys.stderr)
    return 2
