"""The image's recipe as text: its instructions, and what the ignore file leaves out of the context."""

import fnmatch
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker/Dockerfile"
IGNORED = ROOT / "docker/Dockerfile.dockerignore"


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Each instruction with its text; comments gone, continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        yield word.upper(), " ".join(rest.split())


def left_out(path: Path) -> bool:
    """The last rule that fits decides, as Docker has it."""
    decision = False
    for line in IGNORED.read_text().splitlines():
        rule = line.removeprefix("!")
        if not line or line.startswith("#"):
            continue
        if rule.startswith("**/"):
            fits = any(fnmatch.fnmatch(part, rule[3:]) for part in path.parts)
        else:
            fits = any(fnmatch.fnmatch(str(parent), rule) for parent in (path, *path.parents[:-1]))
        decision = (not line.startswith("!")) if fits else decision
    return decision
