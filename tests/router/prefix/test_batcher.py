"""Writing off the hot path: order, bounds, turns, crashes."""

import asyncio

from router.prefix.batcher import TURN_RECORDS, TURN_S, RecordBatcher
from router.prefix.index import Record
from tests.router.prefix.conftest import Clock, confirmed, raise_error


def record(number: int, holder: str = "w1") -> Record:
    return confirmed(holder, number.to_bytes(8, "big"))


class Sink:
    """Remembers what it was given, and for how many calls it has work of its own left."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.slices: list[list[Record]] = []
        self.own_work = 0
        self.takes_s = 0.0
        self.crash_on: Record | None = None
        self.own_work_crashes = False

    @property
    def written(self) -> list[Record]:
        return [record for records in self.slices for record in records]

    async def apply(self, records: list[Record]) -> bool:
        self.clock.now += self.takes_s
        if self.crash_on in records or (self.own_work_crashes and not records):
            raise ValueError("crash")
        self.slices.append(records)
        self.own_work = max(0, self.own_work - 1)
        return self.own_work > 0


async def turns_taken(batcher: RecordBatcher) -> int:
    """How often another task runs before the batcher is done."""
    flushed = asyncio.ensure_future(batcher.flush())
    turns = 0
    while not flushed.done():
        await asyncio.sleep(0)
        turns += 1
    return turns


async def test_records_are_written_in_order_and_leaving_writes_the_rest(clock: Clock) -> None:
    sink = Sink(clock)
    batcher = RecordBatcher(sink, clock, raise_error)
    records = [record(number) for number in range(100)]
    batcher.submit(records[0])
    async with batcher:
        await batcher.flush()
        assert sink.written == records[:1]
        for each in records[1:]:
            batcher.submit(each)
        assert len(batcher) == 99
    assert sink.written == records
    assert len(batcher) == 0


async def test_slices_have_the_size_that_the_sink_wants(clock: Clock) -> None:
    sink = Sink(clock)
    async with RecordBatcher(sink, clock, raise_error, slice_records=4) as batcher:
        for number in range(10):
            batcher.submit(record(number))
    assert [len(records) for records in sink.slices] == [4, 4, 2]


async def test_other_tasks_get_their_turn_by_count_and_by_time(clock: Clock) -> None:
    sink = Sink(clock)
    async with RecordBatcher(sink, clock, raise_error) as batcher:
        for takes_s, turns in ((0.0, 10), (TURN_S / 4, 80), (TURN_S, 320)):
            sink.takes_s = takes_s
            for number in range(10 * TURN_RECORDS):
                batcher.submit(record(number))
            assert turns <= await turns_taken(batcher) <= turns + 4


async def test_a_full_queue_keeps_the_oldest_and_counts_the_rest(clock: Clock) -> None:
    sink = Sink(clock)
    async with RecordBatcher(sink, clock, raise_error, max_queued=3) as batcher:
        for number in range(5):
            batcher.submit(record(number))
        assert batcher.refused == 2
        await batcher.flush()
        batcher.submit(record(5))
    assert sink.written == [record(number) for number in (0, 1, 2, 5)]
    assert batcher.refused == 2


async def test_one_holders_records_can_be_withdrawn(clock: Clock) -> None:
    sink = Sink(clock)
    async with RecordBatcher(sink, clock, raise_error) as batcher:
        for number in range(4):
            batcher.submit(record(number, holder=f"w{number % 2}"))
        batcher.withdraw("w1")
    assert sink.written == [record(0, "w0"), record(2, "w0")]


async def test_the_sinks_own_work_is_done_before_flush_returns(clock: Clock) -> None:
    sink = Sink(clock)
    sink.own_work = 5
    async with RecordBatcher(sink, clock, raise_error) as batcher:
        batcher.wake()
        await batcher.flush()
        assert (sink.own_work, sink.slices) == (0, [[]] * 5)
        sink.own_work = 5
        batcher.submit(record(1))
        await batcher.flush()
        assert (sink.own_work, sink.written) == (0, [record(1)])


async def test_a_crash_is_reported_and_costs_one_slice(clock: Clock) -> None:
    sink = Sink(clock)
    errors: list[BaseException] = []
    sink.crash_on = record(1)
    async with RecordBatcher(sink, clock, errors.append) as batcher:
        for number in range(3):
            batcher.submit(record(number))
        await batcher.flush()
        assert sink.written == [record(0), record(2)]
        batcher.submit(record(1))
        await batcher.flush()
        batcher.submit(record(3))
    assert sink.written == [record(0), record(2), record(3)]
    assert [str(error) for error in errors] == ["crash", "crash"]


async def test_a_crash_in_the_sinks_own_work_does_not_spin(clock: Clock) -> None:
    sink = Sink(clock)
    sink.own_work_crashes = True
    errors: list[BaseException] = []
    async with RecordBatcher(sink, clock, errors.append) as batcher:
        batcher.wake()
        await batcher.flush()
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(errors) == 1
        batcher.submit(record(1))
    assert sink.written == [record(1)]
