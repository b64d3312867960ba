"""Chained hashes: equal exactly where the prefixes are equal."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadtests.engine.chains import ChainHasher, pseudo_random, root_of

TOKENS = st.lists(st.integers(0, 2), max_size=40)


def chain(tokens: list[int], block_tokens: int = 4, root: int = 1) -> list[int]:
    return ChainHasher(block_tokens).chain(np.array(tokens, dtype=np.uint32), root)


@given(TOKENS, TOKENS)
def test_hashes_are_equal_where_prefixes_are_and_nowhere_else(one: list[int], other: list[int]) -> None:
    first, second = chain(one), chain(other)
    assert len(first) == len(one) // 4
    for index, (left, right) in enumerate(zip(first, second, strict=False)):
        assert (left == right) == (one[: 4 * index + 4] == other[: 4 * index + 4])


def test_no_two_places_of_a_chain_are_equal_even_for_zeros() -> None:
    assert len(set(chain([0] * 4000))) == 1000


def test_the_root_separates() -> None:
    assert set(chain([1] * 40)).isdisjoint(chain([1] * 40, root=root_of("m", "salt")))
    assert root_of("a", "b") != root_of("ab", "") != root_of("a", "")


def test_a_longer_prompt_keeps_the_hashes_of_a_shorter_one() -> None:
    hasher = ChainHasher(2)
    short = hasher.chain(np.arange(100, dtype=np.uint32), 3)
    assert hasher.chain(np.arange(9000, dtype=np.uint32), 3)[:50] == short  # more places than it began with


def test_pseudo_random_numbers_depend_on_the_seed_alone() -> None:
    assert pseudo_random(7, 10).tolist() == pseudo_random(7, 20).tolist()[:10]
    assert set(pseudo_random(7, 100).tolist()).isdisjoint(pseudo_random(8, 100).tolist())
