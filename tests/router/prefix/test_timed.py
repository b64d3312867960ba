"""The timed index is the one that it wraps, and counts its lookups."""

from router.observe.instruments import Histogram
from router.prefix.index import Held
from router.prefix.residency import Limits
from router.prefix.timed import TimedIndex
from router.prefix.tree import TreeIndex
from tests.router.prefix.conftest import chain_of, confirmed, held, pending

CHAIN = chain_of("abc")


async def test_lookups_are_timed_and_everything_is_passed_on() -> None:
    seconds = Histogram("s", "s")
    inner = TreeIndex(Limits(), lambda: 0.0, lambda error: None)
    async with inner:
        index = TimedIndex(inner, seconds)
        index.record(pending("w1", CHAIN))
        index.record(confirmed("w2", CHAIN))
        await inner.flush()
        assert await index.match(CHAIN, ("w1",)) == {"w1": Held(0, 3), "w2": held(3)}
        index.remove_worker("w2")
        assert "w2" not in await index.match(CHAIN, ("w1",))
    (family,) = seconds.collect()
    assert [sample.value for sample in family.samples if sample.name == "s_count"] == [2]
