"""Reading the tree: how much of one chain each holder has.

It changes nothing, and its cost must not grow with the fleet: of a node with a thousand holders it looks only at those
touched last. It relies on the tree's invariant that a holder with an extent in a node has all of the node's ancestors.
"""

from collections.abc import Mapping, Sequence
from itertools import islice

from router.prefix.index import HASH_BYTES, Held
from router.prefix.node import Holder, Node

DEEPEST = 16
"""Holders returned, besides those that `also` names."""
SCANNED = 64
"""Holders looked at in one node. More than `DEEPEST`, because their extents in one run may differ."""


def deepest_holders(path: list[Node], known: int) -> dict[str, Held]:
    """The `DEEPEST` holders of the first `known` blocks of a chain, which lie on `path`."""
    found: dict[str, Held] = {}
    end = known
    for node in reversed(path):
        if len(node.holders) > len(found):  # else they are the same: every holder found below is here too
            _gather(node, end, path, found)
            if len(found) >= DEEPEST:
                break
        end = node.start
    return found


def add_holders(
    path: list[Node], known: int, also: Sequence[str], holders: Mapping[str, Holder], found: dict[str, Held]
) -> None:
    """Add to `found` those of `also` that hold anything of the path."""
    if not path:
        return
    top = path[0].holders
    whole: dict[int, Held] = {}
    for name in also:
        if name in found or (holder := holders.get(name)) not in top or holder is None:
            continue
        blocks, reach = _held(path, known, holder)
        if blocks != reach:
            found[name] = Held(blocks, reach)
        elif (held := whole.get(blocks)) is not None:
            found[name] = held
        else:
            found[name] = whole[blocks] = Held(blocks, blocks)


def depth_of(path: list[Node], known: int, holder: Holder) -> int:
    """How many of the first `known` blocks, which lie on `path`, this holder has."""
    blocks = 0
    for node in path:
        holding = node.holders.get(holder)
        if holding is None:
            break
        blocks = node.start + holding.extent
        if blocks < known and holding.extent < len(node.run) // HASH_BYTES:
            break
    return min(blocks, known)


def _gather(node: Node, end: int, path: list[Node], found: dict[str, Held]) -> None:
    """Add holders of `node` whose depth lies in it, up to `end`, the deepest first, until there are `DEEPEST`."""
    wanted = end - node.start
    whole = Held(end, end)
    shorter: list[tuple[int, int, str]] = []
    holdings = node.holders.items()
    for holder, holding in holdings if len(holdings) <= DEEPEST else islice(reversed(holdings), SCANNED):
        name = holder.name
        if name in found or holder.removed:
            continue
        if holding.extent >= wanted:
            found[name] = whole
        else:
            blocks, reach = _held(path, end, holder)
            if reach < end:
                shorter.append((reach, blocks, name))
                continue
            found[name] = Held(blocks, reach)
        if len(found) >= DEEPEST:
            return
    if shorter:
        shorter.sort(reverse=True)
        for reach, blocks, name in shorter[: DEEPEST - len(found)]:
            found[name] = Held(blocks, reach)


def _held(path: list[Node], end: int, holder: Holder) -> tuple[int, int]:
    """How many of the path's first `end` blocks are held, and how many are held or pending. Extents add up: all but the
    last are whole."""
    blocks = reach = 0
    for node in path:
        holding = node.holders.get(holder)
        if holding is None:
            break
        extent = holding.extent
        pending = holding.pending
        blocks += extent
        reach += extent if extent > pending else pending
    return blocks if blocks < end else end, reach if reach < end else end
