"""Which models an operator lets a worker serve."""

import pytest

from router.engines import ModelCard
from router.fleet.labels import NO_LABELS, Labels

BASE, ADAPTER = ModelCard("base", "/models/base", "", 1000), ModelCard("adapter", "", "base", 1000)


@pytest.mark.parametrize(
    ("models", "base", "adapter"),
    [(set(), True, True), ({"base"}, True, True), ({"adapter"}, False, True), ({"other"}, False, False)],
)
def test_a_model_brings_its_adapters(models: set[str], base: bool, adapter: bool) -> None:
    labels = Labels(models=frozenset(models))
    assert (labels.serves(BASE), labels.serves(ADAPTER)) == (base, adapter)


def test_without_labels_all_is_served() -> None:
    assert NO_LABELS.serves(BASE)
    assert NO_LABELS.role == ""
