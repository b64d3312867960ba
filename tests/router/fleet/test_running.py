"""What waits on one worker, and how much of it is still ahead."""

from router.fleet.running import Running

RATE = 8000.0


def test_prefill_is_worked_off_while_it_waits() -> None:
    running = Running(lambda: 0.0)
    assert running.queue(8000, RATE, 100.0) == 101.0
    assert running.queue(8000, RATE, 100.0) == 102.0
    assert running.ahead(100.0, RATE) == 16000
    assert running.ahead(101.5, RATE) == 4000
    assert running.ahead(102.0, RATE) == 0
    assert running.ahead(103.0, RATE) == 8000, "a late worker must not look idle"
    assert running.ahead(1000.0, RATE) == 16000, "nor busier than what it was given"
    running.unqueue(8000, RATE, 101.0)
    assert running.ahead(101.0, RATE) == 8000
    running.unqueue(8000, RATE, 101.2)
    assert running.ahead(101.2, RATE) == 0
    running.queue(800, RATE, 101.2)
    assert running.ahead(101.2, RATE) == 800


def test_prefill_begins_once_what_others_queued_is_done() -> None:
    running = Running(lambda: 0.0)
    assert running.queue(8000, RATE, free_at=107.0) == 108.0
