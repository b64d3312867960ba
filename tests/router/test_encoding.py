"""Encode threads step back behind the event loop, wherever the process itself stands."""

import os
import sys
import threading

import pytest

from router.encoding import ENCODE_NICENESS, MAX_NICENESS, _step_back


@pytest.mark.skipif(sys.platform != "linux", reason="niceness belongs to a thread on Linux only")
def test_a_thread_steps_back_from_where_its_process_stands() -> None:
    """Also in a process that was started with a low priority: an absolute value would raise it there, which is
    forbidden, and lower it to nothing in one that was started with a high one."""
    found: list[int] = []

    def run() -> None:
        thread = threading.get_native_id()
        found.append(os.getpriority(os.PRIO_PROCESS, thread))
        for _ in range(5):
            _step_back()
            found.append(os.getpriority(os.PRIO_PROCESS, thread))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    own, *after = found
    assert after == [min(MAX_NICENESS, own + steps * ENCODE_NICENESS) for steps in range(1, 6)]
