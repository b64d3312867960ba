"""Gives routers wrong clocks, as on separate hosts.

The wall clock is that of libfaketime (Debian: `faketime`), and can be set while the router runs. The monotonic clock,
which begins with each host's start, is moved by a time namespace of the kernel (which needs root).
"""

import asyncio
import shutil
import subprocess
from pathlib import Path

LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
READ_AGAIN_S = 1
"""Seconds for which the library caches its file: after twice this time the clock is certainly set."""
HOUR_S = 3600


def missing() -> str:
    """What this machine lacks for wrong clocks; "" for nothing."""
    if _library() is None:
        return "libfaketime is not installed"
    tried = subprocess.run((*_namespace(0), "true"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return "" if tried.returncode == 0 else "no right to make time namespaces"


class Clock:
    """One router's clock. It is right until it is set."""

    def __init__(self, folder: Path, number: int) -> None:
        self._file = folder / f"clock-{number}"
        self._write(0)
        variables = {
            "LD_PRELOAD": _library(),
            "FAKETIME_TIMESTAMP_FILE": self._file,
            "FAKETIME_CACHE_DURATION": READ_AGAIN_S,
            "FAKETIME_DONT_FAKE_MONOTONIC": 1,
            "NO_FAKE_STAT": 1,
        }
        self.command = ("env", *(f"{name}={value}" for name, value in variables.items()), *_namespace(number))
        """Words before the router's command. Each router's host has been up for some hours more than the one before."""

    async def set(self, ahead_s: int) -> None:
        """Set the wall clock wrong by `ahead_s` seconds. When this returns, the router has the new time."""
        self._write(ahead_s)
        await asyncio.sleep(2 * READ_AGAIN_S)

    def _write(self, ahead_s: int) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{ahead_s:+d}\n")
        fresh.replace(self._file)


def _namespace(number: int) -> tuple[str, ...]:
    return (shutil.which("unshare") or "unshare", "--time", "--monotonic", str(number * 7 * HOUR_S), "--")


def _library() -> Path | None:
    found = (path for folder in LIBRARIES for path in Path(folder).glob("**/libfaketimeMT.so.1"))
    return next(found, None)
