"""Prompts that nobody can have seen, and what of them was prefilled again."""

from loadtests.endurance.burst import PROMPT_TOKENS, Shot, new_prompt, table
from loadtests.endurance.results import End, Result


def test_prompts_of_different_seeds_share_no_block() -> None:
    one, other = new_prompt("a 1"), new_prompt("b 1")
    assert len(one) == len(other) == 4 * PROMPT_TOKENS
    assert one[:256] != other[:256]
    assert new_prompt("a 1") == one


def test_the_table_says_what_was_computed_beyond_one_prompt() -> None:
    results = [Result(0, 2.0, 3, End.COMPLETE, 200, "a"), Result(0, 4.0, 5, End.COMPLETE, 200, "b")]
    rows = {row[0]: row[1] for row in table({"way": [Shot(results, 250, 100, 1, 2)]}, "bytes").rows}
    assert rows["tokens prefilled more than once"] == "150"
    assert rows["... in prompts"] == "1.5"
    assert rows["TTFT p50"] == "2,000 ms"
    assert rows["TTFT p99"] == "4,000 ms"
