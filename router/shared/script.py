"""Commands, and Lua scripts as commands.

A script is called by the hash of its text; where the server does not know it (restarted, failed over, flushed), the
text is sent in its place. So no script has to be loaded beforehand, and a changed one never meets its older self.
"""

import hashlib
from importlib import resources
from typing import NamedTuple

Word = bytes | str | int


class Command(NamedTuple):
    """One command, as the words that are sent."""

    words: tuple[Word, ...]
    script: str = ""
    """The text to send should the server answer NOSCRIPT; "" for what is no script."""

    def in_full(self) -> "Command":
        """The same call, with the script's text."""
        return Command(("EVAL", self.script, *self.words[2:]))


def command(*words: Word) -> Command:
    """One command that is no script."""
    return Command(words)


class Script:
    """One Lua file of a package."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __repr__(self) -> str:
        return f"Script({self.name!r})"

    def __call__(self, key: str, *arguments: Word) -> Command:
        """Its call. `key` only says where in a cluster it runs: all keys that a script makes share its hash tag."""
        return Command(("EVALSHA", self.digest, 1, key, *arguments), self.text)


def read_script(package: str, name: str, *before: str) -> Script:
    """The script `name`.lua in `package`, behind the files `before` that it shares with others."""
    files = resources.files(package)
    text = "\n".join(files.joinpath(f"{each}.lua").read_text(encoding="utf-8") for each in (*before, name))
    return Script(name, text)
