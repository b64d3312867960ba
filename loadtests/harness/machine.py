"""The machine of a measurement, and how busy it was."""

import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


def machine() -> str:
    """The processor, its cores, the kernel, and the commit of this checkout. Every table must carry them."""
    info = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [text.partition(":")[2].strip() for text in info if text.startswith("model name")]
    name = models[0] if models else platform.processor()
    about = f"{len(models)} x {name}, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{about}, commit {_commit()}"


def _commit() -> str:
    git = shutil.which("git") or "git"
    words = (git, "-C", str(ROOT), "describe", "--always", "--dirty")
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@dataclass(frozen=True, slots=True)
class Ticks:
    """CPU time of the whole machine since it was started, in ticks of all cores."""

    busy: int
    stolen: int
    """Ticks that other virtual machines got while this one wanted to run."""
    all: int

    @classmethod
    def parse(cls, text: str) -> "Ticks":
        """From the first line of /proc/stat (proc_stat(5))."""
        user, nice, system, idle, iowait, irq, softirq, steal = map(int, text.split("\n", 1)[0].split()[1:9])
        busy = user + nice + system + irq + softirq
        return cls(busy, steal, busy + idle + iowait + steal)

    @classmethod
    def now(cls) -> "Ticks":
        """Zeros where there is no /proc."""
        path = Path("/proc/stat")
        return cls.parse(path.read_text()) if path.exists() else cls(0, 0, 0)

    def since(self, before: "Ticks") -> str:
        """`cores 63 % busy, 0.1 % stolen`."""
        spent = max(1, self.all - before.all)
        busy, stolen = 100 * (self.busy - before.busy) / spent, 100 * (self.stolen - before.stolen) / spent
        return f"cores {busy:.0f} % busy, {stolen:.1f} % stolen"
