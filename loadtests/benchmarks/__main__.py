"""`python -m loadtests.benchmarks [NAME ...]`: runs the page's own commands and puts their tables in place.

A benchmark whose inputs are missing, or that fails, is left as it is, and it is said why. Inputs are environment
variables, named at the top of the page.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from loadtests.benchmarks.page import Benchmark, benchmarks, replaced, tables
from loadtests.benchmarks.stamp import Stamp

ROOT = Path(__file__).parents[2]


class NotMeasuredError(Exception):
    """A benchmark could not be run; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 if a benchmark failed, 2 for a name that does not exist; missing inputs are no failure."""
    args = _parser().parse_args(arguments)
    known = benchmarks(args.page.read_text(encoding="utf-8"))
    if unknown := [name for name in args.names if name not in known]:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    failed = False
    for name in args.names or known:
        benchmark = known[name]
        absent = [variable for variable in benchmark.needs if not os.environ.get(variable)]
        if args.list or absent:
            print(f"{name}: {_needs(absent)}", flush=True)
            continue
        try:
            measure(benchmark, args.page)
            print(f"{name}: measured", flush=True)
        except NotMeasuredError as error:
            failed = True
            print(f"{name}: left alone, {error}", flush=True)
    return int(failed)


def measure(benchmark: Benchmark, page: Path) -> None:
    """Run the commands and write their tables into the page. Raises NotMeasuredError; the page is unchanged then."""
    stamp = Stamp.begin()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # `python` is the one that runs this
    shell = shutil.which("sh") or "/bin/sh"
    done = subprocess.run(
        [shell, "-ec", benchmark.script],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PATH": path},
    )
    if done.returncode:
        raise NotMeasuredError(f"its command ended with {done.returncode}")
    made = tables(done.stdout)
    if len(made) < max(benchmark.tables, default=0):
        raise NotMeasuredError(f"its command printed {len(made)} tables")
    said = stamp.end(time.time(), benchmark.seeds)
    text = page.read_text(encoding="utf-8")  # read late: somebody may have written prose meanwhile
    page.write_text(replaced(text, benchmark.name, made, said), encoding="utf-8")


def _needs(absent: Sequence[str]) -> str:
    return f"left alone, needs {', '.join(absent)}" if absent else "can be run"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m loadtests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; default: all")
    parser.add_argument("--list", action="store_true", help="say what there is and what it lacks, run nothing")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/benchmarks.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
