"""Commands, and Lua scripts as commands.

A script is called by the hash of its text. Where the server does not know the hash (after a restart, a failover or a
flush), the text is sent instead. So no script has to be loaded beforehand, and two versions of a script never conflict.
"""

import hashlib
from importlib import resources
from typing import NamedTuple

Word = bytes | str | int


class Command(NamedTuple):
    """One command: the words that are sent."""

    words: tuple[Word, ...]
    script: str = ""
    """The text to send if the server answers NOSCRIPT; "" for a command that is no script."""

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
        """A call of the script. `key` only says where in a cluster it runs: all keys that a script makes share its hash
        tag."""
        return Command(("EVALSHA", self.digest, 1, key, *arguments), self.text)


def read_script(package: str, name: str, *before: str) -> Script:
    """The script `name`.lua in `package`, behind the files `before` that it shares with others."""
    files = resources.files(package)
    text = "\n".join(files.joinpath(f"{each}.lua").read_text(encoding="utf-8") for each in (*before, name))
    return Script(name, text)
