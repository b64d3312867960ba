"""`python -m router.build.child`: one router process, started by the supervisor, which writes settings and process
config to its standard input."""

import os
import sys

from router.processes.process_config import CHANNEL_FD, unpacked


def main() -> int:
    """Run the router. Returns the exit code."""
    with os.fdopen(CHANNEL_FD, "rb", buffering=0, closefd=False) as channel:
        try:
            settings, config = unpacked(channel)
        except EOFError:
            return 1
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    from router.build.run import serve  # noqa: PLC0415  (loads the whole router: needless for a process that is orphaned at once)

    serve(settings, config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
