"""Anchors, and the leaf by which the next prompt is known."""

from router.sessions.memory.footprint import ANCHOR_TOKENS, footprint_of, leaf_of, whole_blocks
from tests.router.sessions.chains import BLOCK, prompt_of


def test_anchors_stand_every_thousand_tokens_and_cover_the_known_part() -> None:
    prompt = prompt_of(("a", 5000))
    footprint = footprint_of(prompt)
    assert (footprint.tokens, footprint.anchor_tokens, len(footprint.anchors)) == (5000, ANCHOR_TOKENS, 4)
    assert footprint.anchors[0] == prompt.chain[15 * 8 : 16 * 8]
    assert footprint_of(prompt_of(("a", 5000), known=20)).anchors == footprint.anchors[:1]


def test_an_extended_prompt_keeps_its_anchors() -> None:
    short, long = footprint_of(prompt_of(("a", 5000))), prompt_of(("a", 5000), ("b", 3000))
    assert footprint_of(long, short.anchors) == footprint_of(long)
    assert footprint_of(long).anchors[:4] == short.anchors


def test_the_leaf_leaves_out_what_templates_render_differently() -> None:
    assert whole_blocks(prompt_of(("a", 10 * BLOCK))) == 9
    assert whole_blocks(prompt_of(("a", 10 * BLOCK + 16))) == 10
    opened, answered = prompt_of(("a", 636), ("open", 4)), prompt_of(("a", 636), ("answer", 80))
    assert leaf_of(opened) == answered.chain[8 * 8 : 9 * 8]
    assert leaf_of(prompt_of(("a", BLOCK))) == b""
