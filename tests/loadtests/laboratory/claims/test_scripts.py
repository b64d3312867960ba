"""Traffic as claims describe it."""

from statistics import median

import pytest

from loadtests.laboratory.claims.coding_sessions import CLAUDE_CODE
from loadtests.laboratory.claims.prefix_hits import scripts
from loadtests.laboratory.claims.scripts import Agent, prompt, spread, spread_of_mean
from loadtests.laboratory.claims.shared_pool import CODEX, GROWING
from loadtests.laboratory.traces.script import chains

pytestmark = pytest.mark.slow


def test_prompts_share_their_prefix_and_nothing_else() -> None:
    one, other = (prompt("p", 640, name, 1300, 10) for name in ("a", "b"))
    (first,), (second,) = chains(one), chains(other)
    assert (one.shared_blocks, len(first)) == (10, 20)
    assert (first == second).tolist() == [True] * 10 + [False] * 10


def test_growing_sessions_are_those_of_the_claim() -> None:
    (session, *_) = GROWING.sessions(1, 1)
    tokens = [turn.prompt_tokens for turn in session.turns]
    assert (len(tokens), tokens[0], tokens[1] - tokens[0]) == (30, 30_000, 2_048 + 900)
    assert [turn.answer_tokens for turn in session.turns] == [1] * 30
    assert session.turns[1].think_s == pytest.approx(36.0)
    assert all(turn.keep * 64 >= before - 63 for turn, before in zip(session.turns[1:], tokens, strict=False))


@pytest.mark.parametrize(("agent", "turns", "pause"), [(CODEX, 30, 5.2 + 9.0), (CLAUDE_CODE, 21, 0.0)])
def test_drawn_sessions_have_the_published_medians(agent: Agent, turns: int, pause: float) -> None:
    sessions = agent.sessions(300, 1)
    assert median(len(session.turns) for session in sessions) == pytest.approx(turns, rel=0.2)
    assert max(turn.prompt_tokens for session in sessions for turn in session.turns) <= agent.most_tokens
    pauses = [turn.think_s for session in sessions for turn in session.turns[1:]]
    assert median(pauses) == pytest.approx(pause, rel=0.4)
    assert [one.prompt_tokens for one in sessions] == [one.prompt_tokens for one in agent.sessions(300, 1)]


def test_spreads_give_back_what_they_were_made_from() -> None:
    assert 30 * 2.718281828 ** (1.2816 * spread(30, 57, 1.2816)) == pytest.approx(57)
    assert 225 * 2.718281828 ** (spread_of_mean(225, 522) ** 2 / 2) == pytest.approx(522)


def test_the_mix_of_prompts_has_its_shares() -> None:
    made = scripts(5, 2000, 8000)
    tokens = [one.turns[0].prompt_tokens for one in made]
    with_prefix = [one for one in made if one.shared_blocks]
    assert len(with_prefix) / len(made) == pytest.approx(0.63, abs=0.06)
    assert len({one.name.partition("/")[0] for one in with_prefix}) == 5
    assert all(one.turns[0].prompt_tokens - one.shared_blocks * 64 <= 500 + 63 for one in with_prefix)
    assert sum(one < 500 for one in tokens) / len(tokens) == pytest.approx(0.1, abs=0.04)
    assert max(tokens) + 100 <= 8192
