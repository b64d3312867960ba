"""The token benchmark's own arithmetic: what is new in a turn, and how rows are made."""

import itertools
import math

from loadtests.evidence.bench_tokens import Turn, asked_in, body_of, made_up, quantile, table, text_of
from tokenizer_cache.bodies.request import parse

SYSTEM = {"role": "system", "content": "s"}
USER = {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": '{"a":1}'}}]}


def test_only_what_a_turn_adds_is_new() -> None:
    asked = asked_in([], [[SYSTEM, USER], [SYSTEM, USER, CALL], [USER]])
    assert [one.new_text for one in asked] == ["s\nonetwo", '\n{"a":1}', "onetwo"]
    assert asked[1].body == body_of([SYSTEM, USER, CALL], None)
    assert text_of([]) == ""


def test_made_up_sessions_grow_and_are_read_as_requests() -> None:
    (_, requests), *_ = made_up(1)
    assert all(later[: len(earlier)] == earlier for earlier, later in itertools.pairwise(requests))
    assert len(parse("chat", body_of(requests[3], None)).items) == len(requests[3])


def test_a_row_tells_what_a_turn_took_above_the_limits() -> None:
    turn = Turn(150_000, 1_000, True, 20.0, 10.0, 90.0, 400.0, 380.0, 300.0, math.nan)
    assert (turn.total_us, turn.above_limit_us, turn.above_quick_us) == (520.0, 140.0, 220.0)
    turns = [turn, turn._replace(body_bytes=900_000), turn._replace(known=False)]
    header, _, row, cold, *rest = table(turns, [turn._replace(full_us=5e4)], [150])
    assert header.count("|") == row.count("|")
    assert "| 1 |" in row
    assert "520 / 520 / 520 | 380 | 300 | 140 / 140 / 140 | 220 / 220 / 220 | -" in row
    assert cold.startswith("| 150 KB, first sight | 1 |")
    assert not rest


def test_quantiles_are_values_that_were_seen() -> None:
    assert [quantile([3, 1, 2], share) for share in (0.0, 0.5, 0.99)] == [1, 2, 3]
