"""The parts of the tree by themselves. That the tree keeps them right: `test_radix` and `test_model`."""

from router.prefix.index import HASH_BYTES
from router.prefix.node import Holder, Holding, Node
from tests.router.prefix.conftest import chain_of

RUN = chain_of("abcd")


def held(holder: Holder, parent: Node | None, run: bytes, extent: int) -> Holding:
    """A holding of a new node, the holder's newest."""
    node = Node(parent, 0, run)
    holding = node.holders[holder] = Holding(node, holder)
    holder.touch(holding)
    holding.extent = extent
    return holding


def test_what_is_pending_reaches_as_far_as_its_longest_record() -> None:
    holding = Holding(Node(None, 0, RUN), Holder("w", 10))
    assert (holding.node.blocks(), holding.reach()) == (4, 0)
    holding.pend_ending(2, 1)
    holding.pend_ending(3, 2)
    assert holding.reach() == 3
    holding.pend_passing(1)
    assert holding.reach() == 4, "the whole run"
    holding.pend_passing(-1)
    holding.pend_ending(3, -1)
    assert holding.reach() == 3, "one of two records is left"
    holding.pend_ending(3, -1)
    assert holding.reach() == 2
    holding.extent = 3
    assert holding.reach() == 3
    holding.pend_ending(2, -1)
    assert (holding.pending, holding.ending) == (0, None)


def test_the_oldest_is_the_one_that_was_touched_longest_ago() -> None:
    holder, root = Holder("w", 10), Node(None, 0, b"")
    assert holder.oldest() is None
    one, two, three = (held(holder, root, RUN[:HASH_BYTES], 1) for _ in range(3))
    assert holder.oldest() is one
    holder.touch(one)
    assert holder.oldest() is two
    holder.touch(two)
    assert (holder.oldest(), three.newer, one.newer, two.older) == (three, one, two, one)


def test_chains_are_whole_and_none_is_part_of_another() -> None:
    holder, root = Holder("w", 10), Node(None, 0, b"")
    parent = held(holder, root, RUN, 4)
    left, right = chain_of("xy", RUN)[len(RUN) :], chain_of("z", RUN)[len(RUN) :]
    held(holder, parent.node, left, 1)
    held(holder, parent.node, right, 1)
    holder.touch(parent)
    assert holder.chains() == [RUN + left[:HASH_BYTES], RUN + right]
    alone = held(holder, root, chain_of("q"), 1)
    assert holder.chains()[-1] == alone.node.run
