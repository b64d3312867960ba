"""The memory benchmark, on a small scale: what the process takes stays near what the caches may hold."""

from loadtests.bench_memory import Day

LIMIT = 4 << 20


def test_the_caches_stay_within_their_limit_over_many_conversations() -> None:
    first, *_, half, last = Day(LIMIT).run(600_000_000, 4)
    assert first.text_bytes == first.conversations == 0
    assert last.tracked_bytes <= LIMIT
    assert last.evictions > half.evictions > 0
    assert last.resident_bytes - half.resident_bytes < LIMIT // 4, "it has stopped growing"
