"""Bodies that are made up do not depend on those before."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tokenizer_cache import variants


@pytest.mark.slow
@pytest.mark.parametrize("api", ["chat", "messages", "responses", "completions"])
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_changing_a_body_changes_no_other(api: str, data: st.DataObject) -> None:
    constants = (variants.VALUES, variants.TOP, variants.MARK, variants.SYSTEM_BLOCKS)
    before = copy.deepcopy(constants)
    data.draw(variants.variants(api))
    assert repr(constants) == repr(before)
