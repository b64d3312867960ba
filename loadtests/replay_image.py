"""`python -m loadtests.replay_image BASE OUT`: builds the image's stages without a container engine.

Where none can run, this does what a build does, step by step: each stage is a copy of BASE (a folder with Debian and
Python, see docs/operations.md), each RUN is run in it by `chroot`, each COPY obeys the ignore file. Needs root. What it
does not do: layers, caching, the registry. An instruction that it does not know ends it, so that none is passed over.
"""

import argparse
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docker/Dockerfile"
IGNORED = ROOT / "docker/Dockerfile.dockerignore"
DESCRIBING = {"LABEL", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}
"""Instructions that change nothing in the file system; kept, so that the image can be run as it says."""
NAME_LOOKUP = ("etc/resolv.conf", "etc/hosts", "etc/pip.conf", "etc/ssl/certs")
"""Of this machine, for the time of a RUN: how names and packages are found."""


@dataclass
class Stage:
    """One FROM: where its files are, and what its instructions have set."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    workdir: str = "/"
    says: dict[str, str] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build all stages and print what the last one says of itself, as JSON."""
    parser = argparse.ArgumentParser("python -m loadtests.replay_image", description="The image without an engine.")
    parser.add_argument("base", type=Path, help="a folder with the base image's system")
    parser.add_argument("out", type=Path, help="a folder for the stages; must not exist")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True)
    last = build(options.base, options.out)
    about = {"folder": str(last.folder), "user": last.user, "environ": last.environ, **last.says}
    print(json.dumps(about, indent=2))
    return 0


def build(base: Path, out: Path) -> Stage:
    """Every stage in `out`, by name; gives the last one. Raises CalledProcessError at the first RUN that fails."""
    stages: dict[str, Stage] = {}
    arguments: dict[str, str] = {}
    stage = Stage(out)
    for word, text in instructions(FILE.read_text()):
        rest = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], text)
        print(f"{word} {rest[:100]}", file=sys.stderr, flush=True)
        if word == "FROM":
            source, _, name = rest.partition(" AS ")
            stage = started(stages.get(source), base, out / name)
            stages[name] = stage
        elif word == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
        else:
            step(word, rest, stage, stages)
    return stage


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Each instruction with its text; comments gone, continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        yield word.upper(), " ".join(rest.split())


def started(parent: Stage | None, base: Path, folder: Path) -> Stage:
    """A stage's beginning: the parent's files and settings, or the base image's."""
    subprocess.run(["cp", "-a", str(parent.folder if parent else base), str(folder)], check=True)
    if parent is None:
        return Stage(folder, {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"})
    return Stage(folder, dict(parent.environ), parent.user, parent.workdir, dict(parent.says))


def step(word: str, rest: str, stage: Stage, stages: dict[str, Stage]) -> None:
    """One instruction but FROM and ARG. Raises ValueError for one that is not known here."""
    if word == "RUN":
        run(stage, rest)
    elif word == "COPY":
        copy(stage, shlex.split(rest), stages)
    elif word == "ENV":
        pairs = (pair.partition("=") for pair in shlex.split(rest))
        stage.environ |= {name: value.replace("$PATH", stage.environ["PATH"]) for name, _, value in pairs}
    elif word == "WORKDIR":
        stage.workdir = rest
        inside(stage, rest).mkdir(parents=True, exist_ok=True)
    elif word == "USER":
        stage.user = rest
    elif word in DESCRIBING | {"ENTRYPOINT", "CMD"}:
        stage.says[word] = rest
    else:
        raise ValueError(f"{word} cannot be replayed")


def run(stage: Stage, command: str) -> None:
    """As the stage's user in the stage's files."""
    lent = [name for name in NAME_LOOKUP if lend(stage.folder / name, Path("/") / name)]
    in_folder = f"cd {stage.workdir} && {command}"
    chroot = ["chroot", f"--userspec={stage.user}", str(stage.folder), "/bin/sh", "-ec", in_folder]
    try:
        subprocess.run(chroot, check=True, env=stage.environ)
    finally:
        for name in lent:
            (stage.folder / name).unlink() if (stage.folder / name).is_file() else shutil.rmtree(stage.folder / name)
            if (kept := stage.folder / f"{name}.kept").exists():
                kept.rename(stage.folder / name)


def lend(place: Path, source: Path) -> bool:
    """Put a copy of this machine's file there, and the image's own aside."""
    if not source.exists():
        return False
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists() or place.is_symlink():
        place.rename(place.with_name(f"{place.name}.kept"))
    (shutil.copytree if source.is_dir() else shutil.copy)(source, place)
    return True


def copy(stage: Stage, words: list[str], stages: dict[str, Stage]) -> None:
    """From another stage, or from the context without what the ignore file leaves out."""
    *sources, target = [word for word in words if not word.startswith("--from=")]
    origin = next((stages[word.removeprefix("--from=")].folder for word in words if word.startswith("--from=")), None)
    place = inside(stage, target)
    for source in sources:
        from_path = inside(Stage(origin), source) if origin else ROOT / source
        whole = from_path.is_dir() or (len(sources) == 1 and not target.endswith("/"))
        to_path = place if whole else place / from_path.name
        to_path.parent.mkdir(parents=True, exist_ok=True)
        ignore = None if origin else ignored
        if from_path.is_dir():
            shutil.copytree(from_path, to_path, symlinks=True, ignore=ignore, dirs_exist_ok=True)
        elif origin or not left_out(Path(source)):
            shutil.copy2(from_path, to_path)
        else:
            raise ValueError(f"{source} is left out by {IGNORED.name}")


def inside(stage: Stage, path: str) -> Path:
    """Where a path of the image is here."""
    return stage.folder / os.path.normpath(os.path.join(stage.workdir, path)).lstrip("/")  # noqa: PTH118  (no real path)


def ignored(folder: str, names: list[str]) -> list[str]:
    """For copytree."""
    return [name for name in names if left_out(Path(folder, name).relative_to(ROOT))]


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


if __name__ == "__main__":
    sys.exit(main())
