"""The prefixes used last as a tree: how long each run is and who holds how much of it. Lengths only.

Its cost is bounded by what it tells, not by the index: it starts from each holder's newest holdings.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from router.prefix.node import Holder, Holding, Node

NEWEST = 16
"""Runs that are looked for from each holder's newest one on."""
MOST_RUNS = 64
"""Runs that are told in all. Each takes some 300 bytes with eight holders."""


class Share(NamedTuple):
    """What one holder has of a run."""

    holder: str
    blocks: int
    pending_blocks: int
    """Held, or being prefilled by a request that was sent there."""


class Run(NamedTuple):
    """Blocks that follow each other, below the prefix that leads to them."""

    start: int
    """Blocks before it."""
    blocks: int
    shares: list[Share]
    below: list[Run]
    more: int
    """How many runs right below it are left out."""


def outline(holders: Iterable[Holder], root: Node) -> list[Run]:
    """The runs that these holders used last, as a tree. Changes nothing."""
    wanted = list(holders)
    chosen: dict[Node, None] = {}
    newest = [_newest(holder) for holder in wanted]
    for rank in range(NEWEST):
        for nodes in newest:
            if rank < len(nodes):
                _choose(nodes[rank], chosen)
    children: dict[Node | None, list[Node]] = {}
    for node in chosen:
        children.setdefault(node.parent, []).append(node)
    return [_run(node, children, wanted) for node in children.get(root, [])]


def _newest(holder: Holder) -> list[Node]:
    nodes: list[Node] = []
    link = holder.ring.older
    while isinstance(link, Holding) and len(nodes) < NEWEST:
        nodes.append(link.node)
        link = link.older
    return nodes


def _choose(node: Node, chosen: dict[Node, None]) -> None:
    """Choose a node with all nodes that lead to it, if there is room for them."""
    path = []
    at: Node | None = node
    while at is not None and at.parent is not None and at not in chosen:
        path.append(at)
        at = at.parent
    if len(chosen) + len(path) <= MOST_RUNS:
        chosen.update(dict.fromkeys(path))


def _run(node: Node, children: dict[Node | None, list[Node]], holders: list[Holder]) -> Run:
    shown = children.get(node, [])
    below = [_run(child, children, holders) for child in shown]
    return Run(node.start, node.blocks(), _shares(node, holders), below, len(node.children) - len(shown))


def _shares(node: Node, holders: list[Holder]) -> list[Share]:
    found = ((holder.name, node.holders.get(holder)) for holder in holders)
    return [Share(name, holding.extent, holding.reach()) for name, holding in found if holding is not None]
