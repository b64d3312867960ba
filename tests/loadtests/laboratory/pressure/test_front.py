"""The picture of the front."""

import dataclasses
import math
from xml.etree import ElementTree

from loadtests.laboratory.pressure.front import picture
from tests.loadtests.laboratory.pressure.test_cell import CELL
from tests.loadtests.laboratory.pressure.test_kept import FIGURES


def test_it_is_a_file_of_its_own_with_a_point_for_every_arm() -> None:
    better = dataclasses.replace(FIGURES, turns_s=3.0, longest_s=40.0)
    drawn = picture([(CELL, {0.0: [FIGURES], 30.0: [FIGURES, better], 60.0: [better]})])
    root = ElementTree.fromstring(drawn)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in texts if text in ("none", "30 s", "60 s")] == ["none", "30 s", "60 s"]
    titles = [node.text for node in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "30 s: 22, 2.25" in titles


def test_an_arm_that_refused_turns_is_named_and_not_drawn() -> None:
    refused = dataclasses.replace(FIGURES, longest_s=math.inf)
    drawn = picture([(CELL, {0.0: [FIGURES], 30.0: [FIGURES, refused]})])
    assert "turns refused at 30 s" in drawn
    assert drawn.count("<circle") == 2, "a point, and the key"
