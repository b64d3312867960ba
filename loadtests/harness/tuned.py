"""`python -m loadtests.harness.tuned '{"leave_s": 1}' serve FLAGS`: a router with values that no operator sets.

For drills that would otherwise spend most of their time waiting.
"""

import json
import sys

from router.build.run import serve
from router.build.tuning import Tuning
from router.cli import main
from router.settings import Settings


def run(tuning: str, flags: list[str]) -> int:
    """Returns the exit code. `tuning` is JSON."""

    def start(settings: Settings) -> int:
        serve(settings, tuning=Tuning(**json.loads(tuning)))
        return 0

    return main(flags, start=start)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))
