"""What every prefix index does. Counts are blocks; the chains' blocks are written as letters."""

import pytest

from router.prefix.index import HASH_BYTES, Held
from tests.router.prefix.conftest import Bench, chain_of, confirmed, corrected, dropped, held, pending

SYSTEM = chain_of("system")
FIRST_TURN = chain_of("abc", SYSTEM)
SECOND_TURN = chain_of("def", FIRST_TURN)
OTHER = chain_of("xyz", SYSTEM)
UNRELATED = chain_of("unrelated")


async def test_nothing_is_held_at_first(bench: Bench) -> None:
    assert await bench.match(FIRST_TURN, "w1") == {}
    assert await bench.match(b"", "w1") == {}


@pytest.mark.parametrize(
    ("asked", "blocks"),
    [(FIRST_TURN, 9), (SECOND_TURN, 9), (SYSTEM, 6), (OTHER, 6), (SYSTEM[:HASH_BYTES], 1), (chain_of("q", SYSTEM), 6)],
)
async def test_the_common_prefix_is_held(bench: Bench, asked: bytes, blocks: int) -> None:
    await bench.write(confirmed("w1", FIRST_TURN))
    assert await bench.match(asked) == {"w1": held(blocks)}
    assert await bench.match(UNRELATED, "w1") == {}


async def test_each_holder_with_its_own_depth(bench: Bench) -> None:
    await bench.write(confirmed("w1", FIRST_TURN), confirmed("w2", SECOND_TURN), confirmed("w3", OTHER))
    assert await bench.match(SECOND_TURN) == {"w1": held(9), "w2": held(12), "w3": held(6)}
    assert await bench.match(OTHER) == {"w1": held(6), "w2": held(6), "w3": held(9)}


async def test_a_conversation_that_moves_leaves_its_older_part_behind(bench: Bench) -> None:
    await bench.write(
        confirmed("w1", FIRST_TURN), confirmed("w2", SECOND_TURN), confirmed("w2", chain_of("g", SECOND_TURN))
    )
    assert await bench.match(chain_of("gh", SECOND_TURN)) == {"w1": held(9), "w2": held(13)}


async def test_matching_changes_nothing(bench: Bench) -> None:
    bench.index.set_capacity("w1", 18)
    await bench.write(confirmed("w1", SECOND_TURN), confirmed("w1", UNRELATED[: 6 * HASH_BYTES]))
    assert await bench.match(SECOND_TURN, "w1") == await bench.match(SECOND_TURN)
    await bench.write(confirmed("w1", UNRELATED))
    assert await bench.match(SECOND_TURN) == {"w1": held(9)}, "what was only looked at stayed the oldest"


async def test_records_of_no_blocks_change_nothing(bench: Bench) -> None:
    await bench.write(pending("w1", b""), confirmed("w1", b"", 3), dropped("w1", b""), corrected("w1", b"", b""))
    assert await bench.match(SYSTEM, "w1") == {}


# Pending


async def test_pending_is_visible_at_once_and_is_not_held(bench: Bench) -> None:
    bench.index.record(pending("w1", FIRST_TURN))
    assert await bench.match(SECOND_TURN) == {"w1": Held(0, 9)}
    assert await bench.match(OTHER, "w1") == {"w1": Held(0, 6)}


async def test_pending_goes_on_from_what_is_held(bench: Bench) -> None:
    await bench.write(confirmed("w1", FIRST_TURN), confirmed("w2", SYSTEM))
    bench.index.record(pending("w1", SECOND_TURN))
    bench.index.record(pending("w2", SYSTEM[: 2 * HASH_BYTES]))
    assert await bench.match(SECOND_TURN) == {"w1": Held(9, 12), "w2": held(6)}


async def test_confirming_takes_the_pending_back(bench: Bench) -> None:
    await bench.write(pending("w1", FIRST_TURN), confirmed("w1", FIRST_TURN, pended=FIRST_TURN))
    await bench.write(corrected("w1", SYSTEM, FIRST_TURN))
    assert await bench.match(FIRST_TURN) == {"w1": held(6)}


async def test_an_estimated_chain_gives_way_to_the_real_one(bench: Bench) -> None:
    estimated = chain_of("~~~", FIRST_TURN)
    await bench.write(confirmed("w1", FIRST_TURN), pending("w1", estimated))
    assert await bench.match(estimated) == {"w1": Held(9, 12)}
    await bench.write(confirmed("w1", SECOND_TURN, pended=estimated))
    assert await bench.match(estimated) == {"w1": held(9)}
    assert await bench.match(SECOND_TURN) == {"w1": held(12)}


async def test_each_dropped_takes_one_pending_back(bench: Bench) -> None:
    await bench.write(pending("w1", FIRST_TURN), pending("w1", FIRST_TURN), pending("w1", OTHER))
    await bench.write(dropped("w1", FIRST_TURN))
    assert await bench.match(FIRST_TURN) == {"w1": Held(0, 9)}
    await bench.write(dropped("w1", FIRST_TURN))
    assert await bench.match(FIRST_TURN) == {"w1": Held(0, 6)}, "of the other request"
    await bench.write(dropped("w1", FIRST_TURN), dropped("w1", SYSTEM), dropped("w2", OTHER))
    assert await bench.match(OTHER) == {"w1": Held(0, 9)}, "only its own chain and holder"


async def test_a_queued_dropped_and_a_new_pending_of_the_same_chain(bench: Bench) -> None:
    for record in (pending("w1", FIRST_TURN), dropped("w1", FIRST_TURN), pending("w1", FIRST_TURN)):
        bench.index.record(record)
    assert await bench.match(FIRST_TURN) == {"w1": Held(0, 9)}
    await bench.index.flush()
    assert await bench.match(FIRST_TURN) == {"w1": Held(0, 9)}
    await bench.write(dropped("w1", FIRST_TURN))
    assert await bench.match(FIRST_TURN) == {}


async def test_pending_expires_each_on_its_own_and_held_does_not(bench: Bench) -> None:
    await bench.write(pending("w1", FIRST_TURN), confirmed("w2", SYSTEM))
    bench.clock.now += 40
    await bench.write(pending("w1", SYSTEM))
    bench.clock.now += 20
    assert await bench.match(FIRST_TURN) == {"w1": Held(0, 6), "w2": held(6)}
    bench.clock.now += 40
    assert await bench.match(FIRST_TURN) == {"w2": held(6)}
    await bench.write(dropped("w1", FIRST_TURN))
    assert await bench.match(FIRST_TURN) == {"w2": held(6)}


# Many holders


@pytest.mark.parametrize("order", [range(1, 21), range(20, 0, -1), [3, 18, *range(4, 18), 1, 20, 2, 19]])
async def test_the_sixteen_deepest_of_many_depths(bench: Bench, order: list[int]) -> None:
    chain = chain_of(range(20))
    await bench.write(*(confirmed(f"w{depth}", chain[: depth * HASH_BYTES]) for depth in order))
    assert await bench.match(chain) == {f"w{depth}": held(depth) for depth in range(5, 21)}
    with_asked = await bench.match(chain, "w2", "w20", "nobody")
    assert with_asked == {f"w{depth}": held(depth) for depth in [2, *range(5, 21)]}


async def test_of_a_large_set_a_sample_below_those_that_hold_more(bench: Bench) -> None:
    await bench.write(*(confirmed(f"w{number}", SYSTEM) for number in range(300)))
    await bench.write(confirmed("w3", FIRST_TURN), confirmed("w7", SECOND_TURN))
    asked = [f"w{number}" for number in range(0, 300, 50)]
    found = await bench.match(SECOND_TURN, *asked)
    assert (found.pop("w7"), found.pop("w3")) == (held(12), held(9))
    assert set(found.values()) == {held(6)}
    assert 14 <= len(found) <= 14 + len(asked)
    assert set(asked) <= set(found)


async def test_those_that_hold_more_leave_no_room_for_others(bench: Bench) -> None:
    for chain, holders in ((SYSTEM, range(30)), (FIRST_TURN, range(10, 30)), (SECOND_TURN, range(25, 29))):
        await bench.write(*(confirmed(f"w{number}", chain) for number in holders))
    found = await bench.match(SECOND_TURN)
    assert sorted(each.blocks for each in found.values()) == [9] * 12 + [12] * 4


async def test_a_burst_of_one_new_prompt_is_seen(bench: Bench) -> None:
    for number in range(40):
        bench.index.record(pending(f"w{number}", FIRST_TURN))
    await bench.write(confirmed("w5", SYSTEM))
    found = await bench.match(FIRST_TURN, "w5", "w6")
    assert found["w5"] == Held(6, 9)
    assert found["w6"] == Held(0, 9)
    assert 16 <= len(found) <= 18
    assert {each.pending_blocks for each in found.values()} == {9}


# Forgetting


async def test_over_capacity_the_oldest_goes_first_and_tails_before_heads(bench: Bench) -> None:
    bench.index.set_capacity("w1", 15)
    await bench.write(confirmed("w1", FIRST_TURN), confirmed("w1", UNRELATED))
    assert await bench.match(FIRST_TURN) == {"w1": held(6)}
    assert await bench.match(UNRELATED) == {"w1": held(9)}
    await bench.write(confirmed("w1", SYSTEM), confirmed("w1", OTHER))
    assert await bench.match(OTHER) == {"w1": held(9)}
    assert await bench.match(UNRELATED) == {"w1": held(6)}


async def test_a_smaller_capacity_is_kept_at_once(bench: Bench) -> None:
    await bench.write(confirmed("w1", FIRST_TURN), confirmed("w2", FIRST_TURN))
    bench.index.set_capacity("w1", 4)
    await bench.index.flush()
    assert await bench.match(FIRST_TURN) == {"w1": held(4), "w2": held(9)}


async def test_generated_blocks_take_room_until_the_next_turn(bench: Bench) -> None:
    bench.index.set_capacity("w1", 18)
    await bench.write(confirmed("w1", UNRELATED), confirmed("w1", SYSTEM, generated_blocks=5))
    assert await bench.match(UNRELATED) == {"w1": held(7)}
    await bench.write(confirmed("w1", FIRST_TURN), confirmed("w1", OTHER))
    assert await bench.match(UNRELATED) == {"w1": held(6)}, "18 blocks: 6 + 3 + 3 + 6"


async def test_generated_blocks_go_before_what_they_follow(bench: Bench) -> None:
    bench.index.set_capacity("w1", 18)
    await bench.write(confirmed("w1", SYSTEM, generated_blocks=5), confirmed("w1", UNRELATED))
    assert await bench.match(SYSTEM) == {"w1": held(6)}
    await bench.write(confirmed("w1", chain_of("1234", UNRELATED)))
    assert await bench.match(SYSTEM) == {"w1": held(5)}


async def test_a_correction_forgets_the_rest_and_all_behind_it(bench: Bench) -> None:
    beyond = chain_of("beyond", SECOND_TURN)
    fork = chain_of("fork", FIRST_TURN)
    await bench.write(confirmed("w1", beyond), confirmed("w1", fork), confirmed("w1", OTHER), confirmed("w2", beyond))
    await bench.write(corrected("w1", SYSTEM, FIRST_TURN))
    assert await bench.match(beyond) == {"w1": held(6), "w2": held(18)}
    assert await bench.match(fork) == {"w1": held(6), "w2": held(9)}
    assert await bench.match(OTHER) == {"w1": held(9), "w2": held(6)}
    await bench.write(corrected("w1", b"", SYSTEM), corrected("w3", b"", SYSTEM))
    assert await bench.match(OTHER) == {"w2": held(6)}


async def test_a_correction_that_agrees_changes_nothing(bench: Bench) -> None:
    await bench.write(confirmed("w1", SECOND_TURN))
    await bench.write(corrected("w1", FIRST_TURN, FIRST_TURN), corrected("w1", SECOND_TURN, OTHER))
    await bench.write(corrected("w1", SYSTEM, chain_of("q", SYSTEM)))
    assert await bench.match(SECOND_TURN) == {"w1": held(12)}


async def test_a_removed_worker_is_not_matched_even_with_records_on_their_way(bench: Bench) -> None:
    await bench.write(confirmed("w1", FIRST_TURN), confirmed("w2", SYSTEM), pending("w1", SECOND_TURN))
    bench.index.record(confirmed("w1", SECOND_TURN, pended=SECOND_TURN))
    bench.index.remove_worker("w1")
    assert await bench.match(SECOND_TURN, "w1") == {"w2": held(6)}
    await bench.index.flush()
    assert await bench.match(SECOND_TURN, "w1") == {"w2": held(6)}
    bench.index.remove_worker("nobody")


async def test_a_worker_that_comes_back_starts_empty(bench: Bench) -> None:
    await bench.write(confirmed("w1", SECOND_TURN))
    bench.index.remove_worker("w1")
    bench.index.record(pending("w1", FIRST_TURN))
    assert await bench.match(SECOND_TURN) == {"w1": Held(0, 9)}
    await bench.write(confirmed("w1", SYSTEM))
    assert await bench.match(SECOND_TURN, "w1") == {"w1": Held(6, 9)}
