"""The conversations of the demo: what is asked, what is read of the answers, and the rows that are printed."""

from loadtests.showing import CONVERSATIONS, TURNS, Heard, Total, conversations, line, show, total_of
from tests.engines import EngineThread
from tests.routers import MODEL, running_router


async def test_the_router_finds_more_than_workers_in_turn() -> None:
    with EngineThread(model=MODEL) as a, EngineThread(model=MODEL) as b, EngineThread(model=MODEL) as c:
        async with running_router(a.url, b.url) as router:
            said: list[str] = []
            ours, other = await show(router.url, [b.url, c.url], MODEL, said.append)
            await router.settles()
    assert ours.answers == other.answers == CONVERSATIONS * TURNS
    assert ours.prompt_tokens == other.prompt_tokens
    assert ours.cached_tokens > other.cached_tokens
    assert len(said) == 1 + TURNS + 1
    assert "saved" in said[0]


def test_conversations_share_their_beginning_and_nothing_else() -> None:
    first, second, *_ = (talk["messages"] for talk in conversations("m"))
    assert first[0] == second[0]
    assert first[1] != second[1]
    assert next(talk["messages"] for talk in conversations("m")) == first


def test_a_row_says_what_was_saved() -> None:
    ours = total_of([Heard(1000, 900, 0.1, ""), Heard(1000, 700, 0.3, "")])
    other = total_of([Heard(1000, 200, 0.5, ""), Heard(1000, 200, 0.5, "")])
    row = line("3", ours, other)
    assert "3    2,000      80%        200 ms" in row
    assert "20%        500 ms" in row
    assert row.endswith("75% (1,200 tokens)")
    assert line("1", Total(), Total()).endswith("0% (0 tokens)")
