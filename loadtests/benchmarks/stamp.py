"""When a table was measured, on what, and how busy the machine was: a line in italics below it."""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from loadtests.cost.report import machine
from loadtests.endurance.report import Ticks

_PACKAGES = ("warmroute", "aiohttp", "uvicorn", "redis", "tokenizers")
"""Whose versions are told: they take part in nearly every measurement."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Taken before the measurement."""

    started: float
    """Unix time."""
    load: float
    """Of the last minute: processes that wanted a core."""
    ticks: Ticks

    @classmethod
    def begin(cls) -> "Stamp":
        return cls(time.time(), os.getloadavg()[0], Ticks.now())

    def end(self, now: float, seeds: str) -> str:
        """The line, for a measurement that ends at `now`."""
        when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(self.started))
        versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
        return (
            f"*{when} UTC, {now - self.started:.0f} s; {machine()}; load {self.load:.1f} before, "
            f"{Ticks.now().since(self.ticks)}; {versions}{_commit()}; seeds {seeds or 'as the command has them'}.*"
        )


def _commit() -> str:
    """` (commit)` where this is a checkout."""
    git = shutil.which("git")
    folder = Path(__file__).parents[2]
    if git is None or not (folder / ".git").exists():
        return ""
    found = subprocess.run([git, "-C", str(folder), "rev-parse", "--short", "HEAD"], capture_output=True, check=False)
    return f" ({found.stdout.decode().strip()})" if found.returncode == 0 else ""
